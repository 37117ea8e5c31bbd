from twisted.application.service import ServiceMaker

itsjustintv = ServiceMaker(
    "itsjustintv", "itsjustintv.tap", "Tell webhooks when a Twitch streamer goes live.", "itsjustintv"
)

"""
Programs by others that judge what the adapters send: real servers on loopback, and validators of records; and
clients of Twitch that judge the simulated one.

They are installed in an environment of their own by ``.ci/run``: ``.venv/judges``, or the folder in
``ITSJUSTINTV_JUDGES``. A test that lacks one is skipped, unless ``ITSJUSTINTV_REQUIRE_TOOLS`` lists it.

* :class:`tests.judges.synapse.Synapse`: a Matrix server;
* :class:`tests.judges.mail_server.MailServer`: an SMTP server that refuses what a test wants refused;
* :class:`tests.judges.broker.Broker`: an MQTT broker;
* :func:`tests.judges.program.perform`, which hands them what an adapter made;
* :func:`tests.judges.validators.bluesky_problems`, :func:`tests.judges.validators.read_cloudevent`,
  :func:`tests.judges.validators.discord_problems`,
  :func:`tests.judges.validators.slack_problems`, :func:`tests.judges.validators.card_problems`,
  :func:`tests.judges.validators.rendering_problems`;
* :class:`tests.judges.eventsub_clients.EventSubClient`: a library that receives from the simulated Twitch;
* :func:`tests.judges.program.judge_imports`: a library that a test imports.

The servers are context managers: their ``with`` block ends the process. In a test case,
``self.enterContext(Synapse(Path(self.mktemp())))`` does so at the end of the test. They are started and asked with
blocking calls, from a ``SynchronousTestCase``. An adapter's request is sent to a server, or to a fake, like this::

    server = self.enterContext(Synapse(Path(self.mktemp())))
    token = server.register("bot")
    room = server.create_room(token)
    adapter = ...  # with server.url, token and room
    request = adapter.make_request(delivery, now)
    result = adapter.interpret(perform(request), delivery, now)
    faked = adapter.interpret(perform(request, FakeMatrix(...), now), delivery, now)
"""

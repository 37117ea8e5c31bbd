// Read records of app.bsky.feed.post, a JSON list on standard input, and write why each is refused; "" for one that is not.
// Run in the folder in which @atproto/api is installed.
const { createRequire } = require("node:module");
const { text } = require("node:stream/consumers");
const { AppBskyFeedPost, jsonToLex } = createRequire(`${process.cwd()}/`)("@atproto/api");

text(process.stdin).then((given) => {
  const problems = JSON.parse(given).map((record) => {
    try {
      const result = AppBskyFeedPost.validateRecord(jsonToLex(record));
      return result.success ? "" : result.error.message;
    } catch (error) {
      return error.message;
    }
  });
  process.stdout.write(JSON.stringify(problems));
});

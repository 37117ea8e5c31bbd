// Read Adaptive Cards, a JSON list on standard input, and write what the renderer complains about; "" for a good one.
// Run in the folder in which adaptivecards is installed. Its module for import does not load in Node 20.
const { createRequire } = require("node:module");
const { text } = require("node:stream/consumers");
const { AdaptiveCard, SerializationContext } = createRequire(`${process.cwd()}/`)("adaptivecards/dist/adaptivecards.js");

text(process.stdin).then((given) => {
  const problems = JSON.parse(given).map((each) => {
    const context = new SerializationContext();
    new AdaptiveCard().parse(each, context);
    return Array.from({ length: context.eventCount }, (_, number) => context.getEventAt(number).message).join("; ");
  });
  process.stdout.write(JSON.stringify(problems));
});

// Read bodies for a webhook of Discord, a JSON list on standard input, and write why each is refused, by each judge: the
// OpenAPI document of Discord (discord-api-spec), and the setters of @discordjs/builders for its embeds. "" for one that
// is not refused. Run in the folder in which the packages are installed.
const { copyFileSync } = require("node:fs");
const { createRequire } = require("node:module");
const { text } = require("node:stream/consumers");
const { pathToFileURL } = require("node:url");
const { EmbedBuilder } = createRequire(`${process.cwd()}/`)("@discordjs/builders");

// The package has ES modules that do not say so by their name.
const BUILD = `${process.cwd()}/node_modules/discord-api-spec/build/discord-api-spec.zod`;

// Null means the same as nothing to Discord, but not to the setters.
const bare = (value) => {
  if (Array.isArray(value)) return value.map(bare);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== null).map(([name, inner]) => [name, bare(inner)]));
};

const built = (embed) => {
  const given = (value) => value !== undefined;
  const builder = new EmbedBuilder();
  if (given(embed.title)) builder.setTitle(embed.title);
  if (given(embed.description)) builder.setDescription(embed.description);
  if (given(embed.url)) builder.setURL(embed.url);
  if (given(embed.color)) builder.setColor(embed.color);
  if (given(embed.timestamp)) builder.setTimestamp(new Date(embed.timestamp));
  if (given(embed.image)) builder.setImage(embed.image.url);
  if (given(embed.thumbnail)) builder.setThumbnail(embed.thumbnail.url);
  if (given(embed.author?.name)) builder.setAuthor({ name: embed.author.name, url: embed.author.url, iconURL: embed.author.icon_url });
  if (given(embed.footer?.text)) builder.setFooter({ text: embed.footer.text, iconURL: embed.footer.icon_url });
  if (given(embed.fields)) builder.setFields(embed.fields);
};

const refusal = (judge) => {
  try {
    return judge();
  } catch (error) {
    return error.message || String(error);
  }
};

text(process.stdin).then(async (given) => {
  copyFileSync(`${BUILD}.js`, `${BUILD}.mjs`);
  const { IncomingWebhookRequestPartialSchema: schema } = await import(pathToFileURL(`${BUILD}.mjs`).href);
  const problems = JSON.parse(given).map((body) => {
    const result = schema.safeParse(body);
    return {
      openapi: result.success ? "" : result.error.issues.map(({ code, path }) => `${path.join(".")}: ${code}`).join(", "),
      builders: refusal(() => { (bare(body).embeds ?? []).forEach(built); return ""; }),
    };
  });
  process.stdout.write(JSON.stringify(problems));
});

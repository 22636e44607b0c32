// Builds the one file that the browser loads: node build.mjs NODE_MODULES
// Its name carries a hash of its content, so that a browser may keep it for ever.
import { createRequire } from "node:module";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const modules = resolve(process.argv[2]);
const { build } = createRequire(join(modules, "/"))("esbuild");
const here = dirname(fileURLToPath(import.meta.url));
const bundle = join(here, "bundle");

rmSync(bundle, { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: { editor: join(here, "src/index.js") },
  entryNames: "[name]-[hash]",
  outdir: bundle,
  nodePaths: [modules],
  bundle: true,
  format: "esm",
  platform: "browser",
  mainFields: ["module", "main"],
  target: "es2022",
  minify: true,
  metafile: true,
  logLevel: "info",
});

// the licences of all that went into it go with it
const packages = new Set();
for (const input of Object.keys(metafile.inputs)) {
  const [, name] = input.match(/node_modules\/((?:@[^/]+\/)?[^/]+)\//) ?? [];
  if (name) packages.add(name);
}
const texts = [...packages].sort().map((name) => {
  const folder = join(modules, name);
  const read = (file) => readFileSync(join(folder, file), "utf8").trim();
  const { license, author } = JSON.parse(read("package.json"));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  return `${name} (${license})\n\n${file ? read(file) : (author?.name ?? author ?? "")}\n`;
});
writeFileSync(join(bundle, "licences.txt"), texts.join("\n---\n\n"));

// Bundles the query page into ../static/built: one entry, and pieces that are loaded when a map or a graph is shown.
import { build } from "esbuild";
import { rm } from "node:fs/promises";

const outdir = new URL("../static/built/", import.meta.url).pathname;
await rm(outdir, { recursive: true, force: true });
await build({
  entryPoints: { query: "src/main.js" },
  outdir,
  bundle: true,
  format: "esm",
  splitting: true,
  minify: true,
  target: "es2022",
  legalComments: "linked",
  loader: { ".png": "file" },
  logLevel: "warning",
  define: { "process.env.NODE_ENV": '"production"' },
  inject: ["src/shims.js"],
});
await build({
  entryPoints: { query: "src/query.css", graph: "src/graph.css" },
  outdir, bundle: true, minify: true, loader: { ".png": "file" }, assetNames: "[name]", logLevel: "warning",
});

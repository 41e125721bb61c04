/** The build of the web UI: every file is the server's own, none is put into a page as text. */
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// A client of the same protos, whose source is compiled with this page: one copy of what both import.
const client = new URL("../typescript/src/", import.meta.url).pathname;
// What `npm run dev` leaves to a server.
const CALLS = ["/apis", "/kubeflow.", "/penstock.", "/ml_metadata."];

export default defineConfig({
  plugins: [react()],
  resolve: {
    alias: [{ find: /^@penstock\/client\//, replacement: client }],
    dedupe: ["@bufbuild/protobuf", "@connectrpc/connect", "@connectrpc/connect-web"],
  },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 2000,
    // What the bundle is made of asks that its licences go along.
    license: { fileName: "licenses.md" },
  },
  server: { proxy: Object.fromEntries(CALLS.map((path) => [path, "http://127.0.0.1:8888"])) },
  test: { include: ["src/**/*.test.ts"] },
});

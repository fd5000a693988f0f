/// <reference types="vitest/config" />
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const PAGES = [
  "index",
  "teacher",
  "classroom",
  "student",
  "assistant",
  "observer",
  "library",
  "report",
  "timetable",
  "patrol",
] as const;

/** The node that `npm run dev` talks to. */
const NODE = process.env.CLOUDSCHOOL_NODE ?? "http://127.0.0.1:8080";

/** Serves `/teacher/{lesson}` and its kin in development as the nodes do. */
function pageRoutes(): Plugin {
  return {
    name: "cloudschool-page-routes",
    configureServer(server) {
      server.middlewares.use((request, _response, next) => {
        const page =
          /^\/(teacher|classroom|student|assistant|observer|library|report|timetable|patrol)(\/[^/.]*)?(\?.*)?$/.exec(
            request.url ?? "",
          );
        if (page) request.url = `/${page[1]}.html`;
        next();
      });
    },
  };
}

export default defineConfig({
  plugins: [pageRoutes()],
  build: {
    target: "es2023",
    // Every node serves the same files: names carry hashes, so they may be cached for ever.
    assetsInlineLimit: 0,
    manifest: true,
    // hls.js, which only the player loads.
    chunkSizeWarningLimit: 600,
    rollupOptions: {
      input: Object.fromEntries(
        PAGES.map((page) => [page, fileURLToPath(new URL(`./${page}.html`, import.meta.url))]),
      ),
    },
  },
  server: {
    proxy: {
      "/lessons": { target: NODE, ws: true },
      "/whip": NODE,
      "/whep": NODE,
      "/api": NODE,
      "/media": NODE,
      "/livez": NODE,
    },
  },
  test: { include: ["src/**/*.test.ts", "src/**/*.test.tsx"], environment: "node" },
});

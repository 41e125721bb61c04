/** Starts the UI. Styles are files of the server: no tag that a Content-Security-Policy would have to let in. */
import "@mantine/core/styles.css";
import "@xyflow/react/dist/style.css";
import "./theme.css";

import { MantineProvider } from "@mantine/core";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { createRoot } from "react-dom/client";

import { mayLoadAgain } from "./loadAgain";
import { router } from "./router";
import { answers } from "./server";
import { Spoken } from "./text/language";

window.addEventListener("vite:preloadError", () => {
  if (mayLoadAgain(Date.now(), sessionStorage)) window.location.reload();
});

createRoot(document.getElementById("root") as HTMLElement).render(
  <MantineProvider defaultColorScheme="auto" withCssVariables={false} withGlobalClasses={false}>
    <Spoken>
      <QueryClientProvider client={answers}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </Spoken>
  </MantineProvider>,
);

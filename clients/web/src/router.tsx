/** The addresses of the pages. What a reader has chosen is in them, so that a link shows the same. */
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";

import { Frame, UnknownPage } from "./components/Frame";
import { newRecurringRunSearch, recurringRunSearch, recurringRunsSearch } from "./schedules/search";
import { runSearch, runsSearch } from "./search";

const root = createRootRoute({ component: Frame, notFoundComponent: UnknownPage });

const index = createRoute({
  getParentRoute: () => root,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/runs", replace: true });
  },
});

export const runsRoute = createRoute({
  getParentRoute: () => root,
  path: "/runs",
  validateSearch: runsSearch,
  component: lazyRouteComponent(() => import("./runs/RunsPage"), "RunsPage"),
});

export const runRoute = createRoute({
  getParentRoute: () => root,
  path: "/runs/$runId",
  validateSearch: runSearch,
  component: lazyRouteComponent(() => import("./run/RunPage"), "RunPage"),
});

const recurringRunsRoute = createRoute({
  getParentRoute: () => root,
  path: "/recurring-runs",
  validateSearch: recurringRunsSearch,
  component: lazyRouteComponent(() => import("./schedules/RecurringRunsPage"), "RecurringRunsPage"),
});

const newRecurringRunRoute = createRoute({
  getParentRoute: () => root,
  path: "/recurring-runs/new",
  validateSearch: newRecurringRunSearch,
  component: lazyRouteComponent(() => import("./schedules/NewRecurringRunPage"), "NewRecurringRunPage"),
});

const recurringRunRoute = createRoute({
  getParentRoute: () => root,
  path: "/recurring-runs/$recurringRunId",
  validateSearch: recurringRunSearch,
  component: lazyRouteComponent(() => import("./schedules/RecurringRunPage"), "RecurringRunPage"),
});

const recurring = [recurringRunsRoute, newRecurringRunRoute, recurringRunRoute] as const;

export const router = createRouter({ routeTree: root.addChildren([index, runsRoute, runRoute, ...recurring]) });

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}

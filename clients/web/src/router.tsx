/** The addresses of the pages. What a reader has chosen is in them, so that a link shows the same. */
import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router";

import { accessSearch } from "./access/search";
import { Broken } from "./components/Broken";
import { Frame, UnknownPage } from "./components/Frame";
import { compareSearch } from "./compare/search";
import { artifactsSearch, lineageSearch } from "./lineage/search";
import { pipelineSearch, pipelinesSearch, startSearch } from "./pipelines/search";
import { newRecurringRunSearch, recurringRunSearch, recurringRunsSearch } from "./schedules/search";
import { experimentSearch, experimentsSearch, namespaceSearch, runSearch, runsSearch } from "./search";

const root = createRootRoute({ component: Frame, notFoundComponent: UnknownPage });

const homeRoute = createRoute({
  getParentRoute: () => root,
  path: "/",
  validateSearch: namespaceSearch,
  component: lazyRouteComponent(() => import("./home/HomePage"), "HomePage"),
});

const healthRoute = createRoute({
  getParentRoute: () => root,
  path: "/health",
  validateSearch: namespaceSearch,
  component: lazyRouteComponent(() => import("./health/HealthPage"), "HealthPage"),
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

export const compareRoute = createRoute({
  getParentRoute: () => root,
  path: "/compare",
  validateSearch: compareSearch,
  component: lazyRouteComponent(() => import("./compare/ComparePage"), "ComparePage"),
});

const artifactsRoute = createRoute({
  getParentRoute: () => root,
  path: "/artifacts",
  validateSearch: artifactsSearch,
  component: lazyRouteComponent(() => import("./lineage/ArtifactsPage"), "ArtifactsPage"),
});

const lineageRoute = createRoute({
  getParentRoute: () => root,
  path: "/lineage",
  validateSearch: lineageSearch,
  component: lazyRouteComponent(() => import("./lineage/LineagePage"), "LineagePage"),
});

export const experimentsRoute = createRoute({
  getParentRoute: () => root,
  path: "/experiments",
  validateSearch: experimentsSearch,
  component: lazyRouteComponent(() => import("./experiments/ExperimentsPage"), "ExperimentsPage"),
});

export const experimentRoute = createRoute({
  getParentRoute: () => root,
  path: "/experiments/$experimentId",
  validateSearch: experimentSearch,
  component: lazyRouteComponent(() => import("./experiments/ExperimentPage"), "ExperimentPage"),
});

export const pipelinesRoute = createRoute({
  getParentRoute: () => root,
  path: "/pipelines",
  validateSearch: pipelinesSearch,
  component: lazyRouteComponent(() => import("./pipelines/PipelinesPage"), "PipelinesPage"),
});

export const pipelineRoute = createRoute({
  getParentRoute: () => root,
  path: "/pipelines/$pipelineId",
  validateSearch: pipelineSearch,
  component: lazyRouteComponent(() => import("./pipelines/PipelinePage"), "PipelinePage"),
});

export const startRoute = createRoute({
  getParentRoute: () => root,
  path: "/start",
  validateSearch: startSearch,
  component: lazyRouteComponent(() => import("./start/StartPage"), "StartPage"),
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

const accessRoute = createRoute({
  getParentRoute: () => root,
  path: "/access",
  validateSearch: accessSearch,
  component: lazyRouteComponent(() => import("./access/AccessPage"), "AccessPage"),
});

const pages = [
  homeRoute,
  healthRoute,
  runsRoute,
  runRoute,
  compareRoute,
  artifactsRoute,
  lineageRoute,
  experimentsRoute,
  experimentRoute,
  pipelinesRoute,
  pipelineRoute,
  startRoute,
  recurringRunsRoute,
  newRecurringRunRoute,
  recurringRunRoute,
  accessRoute,
] as const;

export const router = createRouter({ routeTree: root.addChildren(pages), defaultErrorComponent: Broken });

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}

/** The words of the API about callers and deeds, and the texts that readers see for them. */
import type { AuditEvent } from "@penstock/client/gen/penstock_api/v1/access_pb.js";

import type { Key } from "../text/en";
import { fill } from "../text/fill";

type Words = Readonly<Record<string, Key>>;

export const ROLES = ["viewer", "editor", "admin"] as const;
export type Role = (typeof ROLES)[number];

const SOURCES: Words = {
  none: "byNobody",
  kubeflow: "byKubeflow",
  "token-review": "byTokenReview",
  oidc: "byOidc",
  session: "bySession",
  token: "byToken",
  executor: "byExecutor",
  system: "bySystem",
};

export const VERBS: Words = {
  create: "verbCreate",
  get: "verbGet",
  list: "verbList",
  update: "verbUpdate",
  delete: "verbDelete",
  archive: "verbArchive",
  unarchive: "verbUnarchive",
  terminate: "verbTerminate",
  retry: "verbRetry",
  enable: "verbEnable",
  disable: "verbDisable",
  readArtifact: "verbReadArtifact",
  use: "verbUse",
};

export const RESOURCES: Words = {
  runs: "ofRun",
  experiments: "ofExperiment",
  pipelines: "ofPipeline",
  jobs: "ofRecurringRun",
  artifacts: "ofArtifact",
  tokens: "ofToken",
  rolebindings: "ofRole",
  auditevents: "ofAudit",
  metadata: "ofMetadata",
  sessions: "ofSession",
  serviceaccounts: "ofServiceAccount",
  visualizations: "ofVisualization",
};

export const RESULTS: Words = {
  OK: "deedDone",
  PERMISSION_DENIED: "deedRefused",
  UNAUTHENTICATED: "callerUnknown",
  UNKNOWN: "deedUnknown",
};

type Text = (key: Key) => string;

/** A word that a newer server has made up stays as it is. */
const word = (text: Text, words: Words, said: string): string => {
  const key = Object.hasOwn(words, said) ? words[said] : undefined;
  return key ? text(key) : said;
};

export const roleWord = (text: Text, role: string): string => (ROLES.some((one) => one === role) ? text(role as Role) : role);
export const sourceWord = (text: Text, source: string): string => word(text, SOURCES, source);
export const resultWord = (text: Text, result: string): string => word(text, RESULTS, result);

/** What was done, or was to be done; the name of the call where no right was looked up for it. */
export function deedWords(text: Text, { verb, resource, method }: Pick<AuditEvent, "verb" | "resource" | "method">) {
  if (verb === "" && resource === "") return method.slice(method.lastIndexOf("/") + 1);
  return fill(text("deedOn"), { verb: word(text, VERBS, verb), object: word(text, RESOURCES, resource) }).trim();
}

/** Whose a role is. */
export const holder = (text: Text, { user, group }: { readonly user: string; readonly group: string }): string =>
  user || fill(text("groupNamed"), { name: group });

/** What a role is called with the place where it holds. */
export function roleWords(text: Text, { role, namespace }: { readonly role: string; readonly namespace: string }): string {
  const said = { role: roleWord(text, role), namespace };
  return fill(text(namespace === "*" ? "roleEverywhere" : "roleInNamespace"), said);
}

/** The choices of a filter. */
export const choices = (text: Text, any: Key, words: Words) => [
  { value: "", label: text(any) },
  ...Object.entries(words).map(([value, key]) => ({ value, label: text(key) })),
];

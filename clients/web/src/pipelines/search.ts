/** What the addresses of pipelines and of a run's start say behind their question mark. */
import { contains, filterText } from "../runs/filter";
import { oneOf, text } from "../search";

export const VERSION_VIEWS = ["graph", "inputs", "document", "changes"] as const;
export type VersionView = (typeof VERSION_VIEWS)[number];

export interface PipelinesSearch {
  readonly name?: string;
  /** Token of the page that is shown. */
  readonly page?: string;
  readonly namespace?: string;
}

export interface PipelineSearch {
  /** Id of the chosen version; the newest unless one is chosen. */
  readonly version?: string;
  readonly view?: VersionView;
  /** Id of the version that the chosen one is compared with. */
  readonly against?: string;
  /** Token of the page of versions that is shown. */
  readonly page?: string;
  readonly namespace?: string;
}

export interface StartSearch {
  readonly pipeline?: string;
  /** The newest one of the pipeline when it is not said. */
  readonly version?: string;
  /** Id of a run whose pipeline and arguments are taken. */
  readonly clone?: string;
  readonly namespace?: string;
}

export function pipelinesSearch(found: Record<string, unknown>): PipelinesSearch {
  return { ...text("name", found.name), ...text("page", found.page), ...text("namespace", found.namespace) };
}

export function pipelineSearch(found: Record<string, unknown>): PipelineSearch {
  return {
    ...text("version", found.version),
    ...oneOf("view", VERSION_VIEWS, found.view),
    ...text("against", found.against),
    ...text("page", found.page),
    ...text("namespace", found.namespace),
  };
}

export function startSearch(found: Record<string, unknown>): StartSearch {
  return {
    ...text("pipeline", found.pipeline),
    ...text("version", found.version),
    ...text("clone", found.clone),
    ...text("namespace", found.namespace),
  };
}

export const filterOf = ({ name }: PipelinesSearch): string => filterText(contains("display_name", name));

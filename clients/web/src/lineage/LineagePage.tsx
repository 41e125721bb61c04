/** What an artifact or a task was made from and what was made from it, over all runs, as a graph. */
import { Code, Group, NativeSelect, SegmentedControl, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useMemo } from "react";

import { Failure, Loading } from "../components/facts";
import { TextLink } from "../components/links";
import { useNamespace } from "../components/namespace";
import { PageTitle } from "../components/PageTitle";
import { useShortcuts } from "../components/useShortcuts";
import type { CardFacts } from "../graph/Card";
import { Graph } from "../graph/Graph";
import { layoutOf } from "../graph/layout";
import styles from "../run/RunPage.module.css";
import { fill } from "../text/fill";
import { useText } from "../text/language";
import { CardLine } from "./CardLine";
import { asked, graphOf, startOf, titleOf, type LineageGraph } from "./graph";
import { NodePanel } from "./NodePanel";
import { useLineage } from "./queries";
import { DEPTHS, DIRECTIONS, lineageSearch, USUAL_DEPTH, type LineageSearch } from "./search";

const route = getRouteApi("/lineage");
const COMMAND = "penstock lineage ARTIFACT";

export function LineagePage() {
  const text = useText();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const lineage = useLineage(search);
  const nothing = search.artifact === undefined && search.task === undefined;
  const found = nothing ? undefined : lineage.data;
  const graph = useMemo(() => found && graphOf(found), [found]);
  const start = startOf(search);
  const first = graph?.nodes.get(start);
  const change = (changed: Record<string, unknown>) =>
    void navigate({ search: (old) => lineageSearch({ ...old, ...changed }) });
  return (
    <div className={styles.page}>
      <PageTitle name={first ? fill(text("lineageOf"), { name: titleOf(first) }) : text("lineage")} />
      {nothing ? <Nothing /> : null}
      {nothing ? null : (
        <Group>
          <SegmentedControl
            size="xs"
            aria-label={text("direction")}
            value={search.direction ?? "both"}
            onChange={(direction) => change({ direction })}
            data={DIRECTIONS.map((value) => ({ value, label: text(value) }))}
          />
          <NativeSelect
            size="xs"
            aria-label={text("lineageDepth")}
            value={search.depth ?? USUAL_DEPTH}
            onChange={(event) => change({ depth: Number(event.currentTarget.value) })}
            data={DEPTHS.map((value) => ({ value: String(value), label: fill(text("tasksAway"), { count: value }) }))}
          />
          <Text size="sm" c="dimmed">
            {text("lineageHint")}
          </Text>
        </Group>
      )}
      {lineage.error ? <Failure error={lineage.error} /> : null}
      {found?.truncated ? (
        <Text size="sm" role="status">
          {text("lineageTruncated")}
        </Text>
      ) : null}
      {graph ? (
        <Shown key={start} graph={graph} search={search} change={change} />
      ) : lineage.isLoading ? (
        <Loading />
      ) : null}
    </div>
  );
}

interface Props {
  readonly graph: LineageGraph;
  readonly search: LineageSearch;
  readonly change: (changed: Record<string, unknown>) => void;
}

function Shown({ graph: { nodes, group }, search, change }: Props) {
  const text = useText();
  const start = startOf(search);
  const layout = useQuery({
    queryKey: ["layout of a lineage", group],
    queryFn: () => layoutOf(group, "RIGHT"),
    staleTime: Infinity,
    gcTime: 0,
  });
  const chosen = nodes.get(search.chosen ?? start);
  const close = () => change({ chosen: NONE });
  useShortcuts({ close });
  const card = (id: string): CardFacts | undefined => {
    const node = nodes.get(id);
    if (!node) return undefined;
    const hint = [titleOf(node), node.kind === "task" ? node.found.runDisplayName : node.found.artifact?.type];
    return {
      title: titleOf(node),
      below: <CardLine node={node} />,
      hint: [...hint, ...(node.found.more ? [text("thereIsMore")] : [])].join("\n"),
      kind: node.kind === "artifact" ? "thing" : undefined,
    };
  };
  const goTo = (id: string) => {
    const node = nodes.get(id);
    if (node) change({ artifact: "", run: "", task: "", chosen: "", from: 0, ...asked(node) });
  };
  if (layout.error) return <Failure error={layout.error} />;
  return (
    <div className={styles.views}>
      <div className={styles.view}>
        {layout.data ? (
          <Graph
            layout={layout.data}
            sideways
            card={card}
            chosen={search.chosen ?? start}
            choose={(id) => change({ chosen: id, from: 0 })}
            openFurther={goTo}
          />
        ) : (
          <Loading />
        )}
      </div>
      {chosen ? (
        <NodePanel
          key={search.chosen ?? start}
          node={chosen}
          from={search.from ?? 0}
          turn={(from) => change({ from })}
          close={close}
          // What is in the middle already is asked for.
          goTo={(search.chosen ?? start) === start ? undefined : () => goTo(search.chosen ?? start)}
        />
      ) : null}
    </div>
  );
}

/** The id of no card. */
const NONE = "-";

function Nothing() {
  const text = useText();
  const namespace = useNamespace();
  return (
    <Stack gap="xs" align="flex-start">
      <Text>{text("noLineage")}</Text>
      <TextLink to="/artifacts" search={namespace}>
        {text("artifactList")}
      </TextLink>
      <Text>
        {text("byTerminal")} <Code>{COMMAND}</Code>
      </Text>
    </Stack>
  );
}

/** Starts a run of a pipeline's version, or a changed one of a run that there was. */
import { Group, NativeSelect, Stack, Text } from "@mantine/core";
import { getRouteApi } from "@tanstack/react-router";

import { Failure, Loading } from "../components/facts";
import { TextLink } from "../components/links";
import { useNamespace } from "../components/namespace";
import { PageTitle } from "../components/PageTitle";
import styles from "../pipelines/Pipelines.module.css";
import { useVersions } from "../pipelines/queries";
import { shownTime } from "../time";
import { useLanguage, useText } from "../text/language";
import { useOrigin, type Origin } from "./source";
import { StartForm } from "./StartForm";

const route = getRouteApi("/start");
const VERSIONS = 20;

export function StartPage() {
  const text = useText();
  const { language } = useLanguage();
  const search = route.useSearch();
  const origin = useOrigin(search);
  return (
    <Stack>
      <PageTitle name={text("startRun")} />
      {!search.clone && !search.pipeline ? (
        <Text>
          {text("chooseAPipeline")} <TextLink underline="always" to="/pipelines" search={search.namespace ? { namespace: search.namespace } : {}}>
            {text("pipelines")}
          </TextLink>
        </Text>
      ) : origin.error ? (
        <Failure error={origin.error} />
      ) : origin.data ? (
        <>
          <From origin={origin.data} />
          <StartForm
            key={JSON.stringify(search)}
            origin={origin.data}
            name={`${origin.data.name} ${shownTime(Date.now(), language)}`}
          />
        </>
      ) : (
        <Loading />
      )}
    </Stack>
  );
}

function From({ origin: { source, name, again } }: { origin: Origin }) {
  const text = useText();
  const namespace = useNamespace();
  const navigate = route.useNavigate();
  const pipelineId = source.kind === "version" ? source.pipelineId : "";
  const versions = useVersions(again ? "" : pipelineId, VERSIONS);
  const version = source.kind === "version" ? source.pipelineVersionId : "";
  const listed = versions.data?.pipelineVersions ?? [];
  return (
    <Group align="flex-end">
      <Text className={styles.name}>
        {text("pipeline")}:{" "}
        {pipelineId ? (
          <TextLink underline="always" to="/pipelines/$pipelineId" params={{ pipelineId }} search={{ version, ...namespace }}>
            {name}
          </TextLink>
        ) : (
          name
        )}
      </Text>
      {again ? (
        <Text className={styles.name}>
          {text("run")}:{" "}
          <TextLink underline="always" to="/runs/$runId" params={{ runId: again.runId }} search={namespace}>
            {again.displayName}
          </TextLink>
        </Text>
      ) : null}
      {listed.length > 1 ? (
        <NativeSelect
          size="xs"
          label={text("version")}
          value={version}
          onChange={({ currentTarget: { value } }) => void navigate({ search: (old) => ({ ...old, version: value }) })}
          data={[
            ...(listed.some((one) => one.pipelineVersionId === version) ? [] : [version]),
            ...listed.map((one) => ({ value: one.pipelineVersionId, label: one.displayName })),
          ]}
        />
      ) : null}
    </Group>
  );
}

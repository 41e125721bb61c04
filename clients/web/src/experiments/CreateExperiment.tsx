/** Makes an experiment and goes to it. */
import { Button, Group, Modal, Stack, Textarea, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState, type SubmitEvent } from "react";

import { Failure } from "../components/facts";
import { useNamespace } from "../components/namespace";
import { useOnce } from "../components/useOnce";
import { penstock } from "../server";
import { useText } from "../text/language";
import { nameProblem } from "./name";

interface Props {
  readonly opened: boolean;
  readonly close: () => void;
}

export function CreateExperiment({ opened, close }: Props) {
  const text = useText();
  const namespace = useNamespace();
  const navigate = useNavigate();
  const answers = useQueryClient();
  const [displayName, setName] = useState("");
  const [description, describe] = useState("");
  const [tried, setTried] = useState(false);
  const problem = nameProblem(displayName);
  const creation = useOnce({
    mutationFn: () =>
      penstock.experiments.createExperiment({ experiment: { displayName, description, ...namespace } }),
    onSuccess: ({ experimentId }) => {
      void answers.invalidateQueries({ queryKey: ["experiments"] });
      return navigate({ to: "/experiments/$experimentId", params: { experimentId }, search: namespace });
    },
  });
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    setTried(true);
    if (!problem) creation.once();
  };
  return (
    <Modal
      opened={opened}
      onClose={close}
      title={text("newExperiment")}
      lockScroll={false}
      closeButtonProps={{ "aria-label": text("close") }}
    >
      <form onSubmit={submit} noValidate>
        <Stack>
          <TextInput
            data-autofocus
            required
            label={text("name")}
            value={displayName}
            error={tried && problem ? text(problem) : undefined}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <Textarea
            label={text("description")}
            rows={4}
            value={description}
            onChange={(event) => describe(event.currentTarget.value)}
          />
          {creation.error ? <Failure error={creation.error} /> : null}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              {text("cancel")}
            </Button>
            <Button type="submit" loading={creation.isPending}>
              {text("create")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

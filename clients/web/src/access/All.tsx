/** Chooses between one's own, or one namespace, and everything, which an administrator of all may see. */
import { NativeSelect } from "@mantine/core";

interface Props {
  readonly label: string;
  readonly part: string;
  readonly whole: string;
  readonly all: boolean;
  readonly change: (changed: Record<string, unknown>) => void;
}

export function All({ label, part, whole, all, change }: Props) {
  return (
    <NativeSelect
      aria-label={label}
      value={all ? "all" : ""}
      onChange={(event) => change({ all: event.currentTarget.value === "all" ? true : undefined })}
      data={[
        { value: "", label: part },
        { value: "all", label: whole },
      ]}
    />
  );
}

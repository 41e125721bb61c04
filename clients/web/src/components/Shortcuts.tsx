/** The keys of the UI in a dialog, which `?` opens on every page; `/` leads to the field that the page is searched in. */
import { Button, Kbd, Modal, Table } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";

import { SHORTCUTS } from "../shortcuts";
import { useText } from "../text/language";
import { useShortcuts } from "./useShortcuts";

const SYMBOLS: Readonly<Record<string, string>> = {
  ArrowDown: "↓",
  ArrowUp: "↑",
  ArrowRight: "→",
  ArrowLeft: "←",
};

export function Shortcuts() {
  const text = useText();
  const [opened, { open, close }] = useDisclosure(false);
  useShortcuts({ help: open, search: () => document.querySelector<HTMLInputElement>("main [type=search]")?.select() });
  return (
    <>
      <Button size="xs" variant="default" aria-label={text("shortcuts")} title={text("shortcuts")} onClick={open}>
        ?
      </Button>
      <Modal
        opened={opened}
        onClose={close}
        title={text("shortcuts")}
        lockScroll={false}
        closeButtonProps={{ "aria-label": text("close") }}
      >
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{text("keys")}</Table.Th>
              <Table.Th>{text("meaning")}</Table.Th>
              <Table.Th>{text("where")}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {SHORTCUTS.map(({ does, anywhere, inRows, on }) => (
              <Table.Tr key={does}>
                <Table.Td>
                  {[...anywhere, ...inRows].map((key) => (
                    <Kbd key={key} mr={4}>
                      {SYMBOLS[key] ?? key}
                    </Kbd>
                  ))}
                </Table.Td>
                <Table.Td>{text(`${does}Key`)}</Table.Td>
                <Table.Td>{text(on)}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Modal>
    </>
  );
}

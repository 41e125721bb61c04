/** Links and buttons that lead to a page, whose addresses the compiler checks. */
import { Anchor, Button, type AnchorProps, type ButtonProps } from "@mantine/core";
import { createLink } from "@tanstack/react-router";
import type { AnchorHTMLAttributes, Ref } from "react";

type Own = Omit<AnchorHTMLAttributes<HTMLAnchorElement>, "color" | "style"> & { ref?: Ref<HTMLAnchorElement> };

export const TextLink = createLink((props: AnchorProps & Own) => <Anchor {...props} />);
export const ButtonLink = createLink((props: ButtonProps & Own) => <Button component="a" {...props} />);

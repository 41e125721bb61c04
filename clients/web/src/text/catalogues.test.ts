/** A key of a part that the whole has, too, would be read from the one and written in the other. */
import { expect, test } from "vitest";

import { accessEn } from "./access.en";
import { attemptsEn } from "./attempts.en";
import { compareEn } from "./compare.en";
import { en } from "./en";
import { homeEn } from "./home.en";
import { keysEn } from "./keys.en";
import { lineageEn } from "./lineage.en";
import { pipelinesEn } from "./pipelines.en";
import { startEn } from "./start.en";
import { taskEn } from "./task.en";
import { zh } from "./zh";

test("no text is in two catalogues, where one would hide the other", () => {
  for (const part of [accessEn, attemptsEn, compareEn, homeEn, keysEn, lineageEn, pipelinesEn, startEn, taskEn]) {
    for (const [key, text] of Object.entries(part)) expect({ key, text: en[key as keyof typeof en] }).toEqual({ key, text });
  }
});

test("what has two names in Chinese is called by one of them", () => {
  const others = /工件|血缘|周期性运行/;
  for (const [key, text] of Object.entries(zh)) expect({ key, other: others.exec(text)?.[0] }).toEqual({ key, other: undefined });
});

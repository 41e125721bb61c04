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

test("no text is in two catalogues, where one would hide the other", () => {
  for (const part of [accessEn, attemptsEn, compareEn, homeEn, keysEn, lineageEn, pipelinesEn, startEn, taskEn]) {
    for (const [key, text] of Object.entries(part)) expect({ key, text: en[key as keyof typeof en] }).toEqual({ key, text });
  }
});

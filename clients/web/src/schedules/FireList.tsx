/** Points in time at which something fires, the earliest first; those that lie in the past say so. */
import { Badge, List } from "@mantine/core";
import type { NextFires } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";

import { Time } from "../components/facts";
import { useText } from "../text/language";
import { millis } from "../time";
import { isDue } from "./due";
import styles from "./Schedules.module.css";

export function FireList({ of, now }: { of: NextFires; now: number }) {
  const times = of.fires.map(millis);
  return (
    <List type="ordered" size="sm" withPadding data-fires={times.length}>
      {times.map((at, index) => (
        <List.Item key={index}>
          <Time at={at} />{" "}
          {isDue(at, now) ? <Due /> : null}
        </List.Item>
      ))}
    </List>
  );
}

export function Due() {
  const text = useText();
  return (
    <Badge size="sm" variant="light" color="orange" className={styles.whole}>
      {text("missedFire")}
    </Badge>
  );
}

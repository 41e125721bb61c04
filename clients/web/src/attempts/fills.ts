/** What a canvas fills the area of a phase with: the colours and patterns of Attempts.module.css. */
import type { Phase } from "./phases";

const TILE = 6;
type Draw = (canvas: CanvasRenderingContext2D) => void;

const PATTERNS: Readonly<Partial<Record<Phase, Draw>>> = {
  queued: (canvas) => line(canvas, [0, TILE], [TILE, 0]),
  scheduling: (canvas) => {
    line(canvas, [0, 0], [TILE, TILE]);
    line(canvas, [0, TILE / 2], [TILE / 2, TILE]);
    line(canvas, [TILE / 2, 0], [TILE, TILE / 2]);
  },
  fetching: (canvas) => canvas.fillRect(0, 0, TILE * 0.6, TILE),
  storing: (canvas) => canvas.fillRect(0, 0, TILE, TILE * 0.6),
  concluding: (canvas) => {
    canvas.fillRect(0, 0, TILE / 2, TILE / 2);
    canvas.fillRect(TILE / 2, TILE / 2, TILE / 2, TILE / 2);
  },
};

/** A pattern has no holes: what is drawn below it does not show. */
export function fillOf(phase: Phase, style: CSSStyleDeclaration): string | CanvasPattern {
  const colour = style.getPropertyValue(`--phase-${phase}`).trim();
  const draw = PATTERNS[phase];
  const tile = document.createElement("canvas");
  const canvas = tile.getContext("2d");
  if (!draw || !canvas) return colour;
  tile.width = tile.height = TILE;
  canvas.fillStyle = style.getPropertyValue("--mantine-color-body");
  canvas.fillRect(0, 0, TILE, TILE);
  canvas.fillStyle = canvas.strokeStyle = colour;
  draw(canvas);
  return canvas.createPattern(tile, "repeat") ?? colour;
}

function line(canvas: CanvasRenderingContext2D, from: readonly [number, number], to: readonly [number, number]): void {
  canvas.lineWidth = 1.5;
  canvas.beginPath();
  canvas.moveTo(...from);
  canvas.lineTo(...to);
  canvas.stroke();
}

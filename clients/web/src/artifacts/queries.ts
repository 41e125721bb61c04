/** What the preview of an artifact asks the server for. What an artifact holds does not change. */
import { useQuery } from "@tanstack/react-query";

import { penstock } from "../server";
import type { Part } from "./bytes";

export function useArtifact(name: string) {
  return useQuery({
    queryKey: ["artifact", name],
    queryFn: ({ signal }) => penstock.insight.getArtifact({ name }, { signal }),
    staleTime: Infinity,
  });
}

/** At most so many bytes from an offset; from the beginning, of a directory or an archive those of its first file. */
export function usePart(uri: string, offset: number, most: number) {
  return useQuery({
    queryKey: ["part", uri, offset, most],
    queryFn: ({ signal }) => part(uri, offset, most, signal),
    enabled: uri !== "",
    staleTime: Infinity,
    // An image is megabytes.
    gcTime: 10_000,
  });
}

async function part(uri: string, offset: number, most: number, signal: AbortSignal): Promise<Part> {
  const request = { uri, offset: BigInt(offset), maxBytes: BigInt(most), unpack: offset === 0 };
  const chunks: Uint8Array[] = [];
  let total: number | undefined;
  for await (const { data, totalBytes } of penstock.insight.readObject(request, { signal })) {
    if (totalBytes !== undefined) total = Number(totalBytes);
    chunks.push(data);
  }
  const bytes = new Uint8Array(chunks.reduce((size, chunk) => size + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return { bytes, total };
}

import { describe, expect, it } from "vitest";
import { codecOf } from "./picture.ts";

describe("a picture's codec", () => {
  it("is read from the sequence parameter set", () => {
    const stream = [0, 0, 0, 1, 0x09, 0xf0, 0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0xda, 0x02, 0x80];
    expect(codecOf("video/H264", Uint8Array.from(stream))).toBe("avc1.42e01f");
    expect(
      codecOf("video/H264", Uint8Array.from([0, 0, 0, 1, 0x65, 0x88, 1, 2, 3])),
    ).toBeUndefined();
    expect(codecOf("video/H264", new Uint8Array())).toBeUndefined();
  });

  it("of others follows from their name", () => {
    expect(codecOf("video/VP8", new Uint8Array())).toBe("vp8");
    expect(codecOf("application/octet-stream", new Uint8Array())).toBeUndefined();
  });
});

// A peer connection for tests: remembers what was asked of it, connects when told to.

interface FakeParameters {
  encodings: RTCRtpEncodingParameters[];
}

export class FakeConnection {
  static made: FakeConnection[] = [];

  connectionState = "new";
  onconnectionstatechange: (() => void) | null = null;
  localDescription: { sdp: string } | null = null;
  closed = false;
  readonly #answered: ((layers: boolean) => void)[] = [];
  readonly transceivers: {
    mid: string | null;
    receiver: { track: { kind: string; id: string } };
    sender: {
      track: unknown;
      getParameters(): FakeParameters;
      setParameters(parameters: FakeParameters): Promise<void>;
      replaceTrack(track: unknown): Promise<void>;
    };
    setCodecPreferences(): void;
  }[] = [];

  constructor(readonly configuration: RTCConfiguration = {}) {
    FakeConnection.made.push(this);
  }

  static get last(): FakeConnection {
    const last = FakeConnection.made.at(-1);
    if (!last) throw new Error("no connection was made");
    return last;
  }

  addTransceiver(
    what: string | { kind: string },
    { sendEncodings = [{}] }: { sendEncodings?: RTCRtpEncodingParameters[] } = {},
  ) {
    let encodings = sendEncodings;
    this.#answered.push((layers) => {
      if (!layers) encodings = encodings.slice(0, 1).map(({ rid: _, ...encoding }) => encoding);
    });
    const kind = typeof what === "string" ? what : what.kind;
    const id = `${FakeConnection.made.indexOf(this)}/${this.transceivers.length}`;
    const sender = {
      track: typeof what === "string" ? null : (what as unknown),
      getParameters: () => structuredClone({ encodings }),
      setParameters(parameters: FakeParameters) {
        ({ encodings } = parameters);
        return Promise.resolve();
      },
      replaceTrack(track: unknown) {
        sender.track = track;
        return Promise.resolve();
      },
    };
    const transceiver = {
      mid: null as string | null,
      receiver: { track: { kind, id } },
      sender,
      setCodecPreferences: () => undefined,
    };
    this.transceivers.push(transceiver);
    return transceiver;
  }

  getTransceivers() {
    return this.transceivers;
  }

  getSenders() {
    return this.transceivers.map(({ sender }) => sender);
  }

  setLocalDescription(): Promise<void> {
    for (const [index, transceiver] of this.transceivers.entries()) transceiver.mid = String(index);
    const lines = this.transceivers.map(({ receiver }) => receiver.track.kind).join(",");
    this.localDescription = { sdp: lines };
    return Promise.resolve();
  }

  /** As browsers do: without `a=simulcast` in the answer only the first encoding is left. */
  setRemoteDescription({ sdp }: { sdp: string }): Promise<void> {
    for (const answered of this.#answered) answered(sdp.includes("a=simulcast:recv"));
    return Promise.resolve();
  }

  change(state: string): void {
    this.connectionState = state;
    this.onconnectionstatechange?.();
  }

  close(): void {
    this.closed = true;
  }
}

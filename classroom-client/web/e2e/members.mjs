// Tokens for members the installation's own links don't name, of its own issuer.

import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { BIN_DIR } from "./harness.mjs";

const run = promisify(execFile);

/** A token for a member; without a lesson it is good for all of them. */
export async function tokenFor(links, { id, name = id, role, school, lesson }) {
  const member = ["--member", id, "--name", name, "--role", role, "--school", school];
  const of = lesson ? ["--lesson", lesson] : [];
  const args = ["token", "--issuer", links.issuer, ...member, ...of];
  const { stdout } = await run(join(BIN_DIR, "sfu"), args);
  return stdout.trim();
}

// A network namespace for what has to have an address that is not of the loopback interface. It
// is gone with the last process in it, and nothing else is in it.

import { spawn, spawnSync } from "node:child_process";

/** The address in it, by which whoever is in it meets. */
export const ADDRESS = "10.99.0.1";

/** Says to the process in it that it is. */
const INSIDE = "CLOUDSCHOOL_NETWORK_OF_ITS_OWN";

const SET_UP = `ip link set lo up
ip link add media0 type veth peer name media0-peer
ip address add ${ADDRESS}/24 dev media0
ip link set media0 up
ip link set media0-peer up
ip route add default via 10.99.0.2 dev media0`;

export const isInside = () => process.env[INSIDE] !== undefined;

/** Why there can't be one; nothing where there can. */
export function refused() {
  const tried = spawnSync("unshare", ["--net", "sh", "-ec", SET_UP], { encoding: "utf8" });
  if (tried.status === 0) return undefined;
  return `there can be no network namespace: ${tried.error?.message ?? tried.stderr.trim()}`;
}

/** Runs this program again in one, for the parts that are named. Resolves to whether it was well. */
export function inside(...parts) {
  const again = `${SET_UP}\nexec "$0" "$@"`;
  const words = ["--net", "sh", "-ec", again, process.execPath, process.argv[1], ...parts];
  const child = spawn("unshare", words, {
    stdio: "inherit",
    env: { ...process.env, [INSIDE]: "1" },
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => resolve(code === 0));
  });
}

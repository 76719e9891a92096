// Two peer connections in one page of headless Chromium, which may use nothing but the relay.

import { launch } from "./browser.mjs";
import { emit, serve } from "./lines.mjs";

const MEDIA_FLAGS = [
  "--use-fake-device-for-media-stream",
  "--use-fake-ui-for-media-stream",
  "--ignore-certificate-errors", // the test's authority is in no store of Chromium's; that it verifies is not ours to show
];
let browser;
let page;

/** Calls oneself, with sound and a data channel; resolves to what `getStats()` says of the pair that carried it. */
async function call({ iceServers, seconds, patienceMs, calleeHasRelay }) {
  const errors = [];
  const relayed = { iceServers, iceTransportPolicy: "relay" };
  const ends = [relayed, calleeHasRelay ? relayed : {}].map((how) => new RTCPeerConnection(how));
  ends.forEach((end, index) => {
    end.onicecandidate = ({ candidate }) => candidate && ends[1 - index].addIceCandidate(candidate);
    end.onicecandidateerror = ({ errorCode, errorText }) => errors.push(`${errorCode} ${errorText}`);
  });
  const [caller, callee] = ends;
  const sound = await navigator.mediaDevices.getUserMedia({ audio: true });
  for (const end of ends) for (const track of sound.getTracks()) end.addTrack(track, sound);
  const channel = caller.createDataChannel("echo");
  callee.ondatachannel = ({ channel: theirs }) => {
    theirs.onmessage = ({ data }) => theirs.send(data);
  };
  const echoed = new Promise((resolve) => {
    channel.onopen = () => channel.send("hello");
    channel.onmessage = ({ data }) => resolve(data);
  });
  const tooLate = new Promise((resolve) => setTimeout(resolve, patienceMs, ""));
  await caller.setLocalDescription();
  await callee.setRemoteDescription(caller.localDescription);
  await callee.setLocalDescription();
  await caller.setRemoteDescription(callee.localDescription);
  const echo = await Promise.race([echoed, tooLate]);
  if (echo) await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const stats = new Map(await caller.getStats());
  const transport = [...stats.values()].find((each) => each.type === "transport");
  const pair = stats.get(transport?.selectedCandidatePairId);
  const [local, remote] = [stats.get(pair?.localCandidateId), stats.get(pair?.remoteCandidateId)];
  for (const end of ends) end.close();
  return {
    echo,
    errors: [...new Set(errors)],
    local: local?.candidateType ?? "",
    remote: remote?.candidateType ?? "",
    protocol: local?.relayProtocol ?? "",
    sent: pair?.bytesSent ?? 0,
    received: pair?.bytesReceived ?? 0,
  };
}

serve({
  async open() {
    browser = await launch(MEDIA_FLAGS);
    page = await (await browser.newContext({ permissions: ["microphone"] })).newPage();
    // A page of nobody's: the server's own say that no microphone is theirs to use.
    await page.route("https://calls.test/", (route) => route.fulfill({ contentType: "text/html", body: "<title>calls" }));
    await page.goto("https://calls.test/");
  },

  async call(fields) {
    emit("called", await page.evaluate(call, fields));
  },
});

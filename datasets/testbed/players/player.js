// The page of chromium.py: shaka-player on one film, and a log of what it fetched and showed. Times are unix ms.

const PERIOD = 250; // ms between samples
const WATCH = 40; // ms between looks for the first move of the playhead

const video = document.getElementById('video');
const log = {t0: 0, started: null, samples: [], segs: [], requests: [], ev: [], stats: null, protocols: {}, drift: 0};
const asked = new Map(); // file -> when it was last requested
let player = null;
let startup = 0; // seconds that shaka buffered before the first picture moved
let stood = 0; // seconds that the playhead stood since then

const note = (name, value = null) => log.ev.push([Date.now(), name, value]);
const name = (uri) => new URL(uri, location.href).pathname.split('/').pop();

/** Start playback; return at once with the time. settings: url, offset (s), buffer (s), estimate (bits/s). */
function begin(settings) {
  shaka.polyfill.installAll();
  player = new shaka.Player();
  player.configure({
    manifest: {retryParameters: {maxAttempts: settings.attempts}},
    abr: {useNetworkInformation: false, defaultBandwidthEstimate: settings.estimate},
    streaming: {bufferingGoal: settings.buffer, retryParameters: {maxAttempts: settings.attempts}},
  });
  player.addEventListener('error', (event) => note('error', `${event.detail.code} ${event.detail.message}`));
  player.addEventListener('buffering', (event) => note(event.buffering ? 'buffering' : 'buffered', video.currentTime));
  player.addEventListener('adaptation', () => note('adaptation', player.getVariantTracks().find((t) => t.active)?.height));
  for (const kind of ['waiting', 'playing', 'seeking', 'ended', 'stalled']) {
    video.addEventListener(kind, () => note(kind, video.currentTime));
  }
  const network = player.getNetworkingEngine();
  network.registerRequestFilter((type, request) => {
    const file = name(request.uris[0]);
    asked.set(file, Date.now());
    log.requests.push([asked.get(file), file]);
  });
  network.registerResponseFilter((type, response) => {
    const file = name(response.uri);
    const now = Date.now();
    log.segs.push([now, file, response.data.byteLength, Math.round(response.timeMs ?? 0), asked.get(file) ?? null]);
  });
  log.t0 = Date.now();
  play(settings).catch((error) => note('error', `${error.code ?? ''} ${error.message}`));
  return log.t0;
}

async function play(settings) {
  await player.attach(video);
  const wanted = video.play();
  await player.load(settings.url, settings.offset);
  note('loaded');
  setInterval(sample, PERIOD);
  await Promise.all([wanted.catch(() => video.play()), firstMove()]);
}

/** Wait until the playhead moves; only the buffering that shaka counts from then on is rebuffering. */
async function firstMove() {
  let last = video.currentTime;
  while (log.started === null) {
    await new Promise((resolve) => setTimeout(resolve, WATCH));
    const moved = video.currentTime - last;
    last = video.currentTime;
    if (moved > 0 && moved < 1 && !video.seeking) {
      log.started = Date.now() - Math.round(1000 * Math.min(moved, WATCH / 1000));
      startup = player.getStats().bufferingTime;
      note('started', video.currentTime);
    }
  }
}

function sample() {
  const stats = player.getStats();
  const now = Date.now();
  const place = video.currentTime;
  const last = log.samples.at(-1);
  const quality = video.getVideoPlaybackQuality();
  if (log.started !== null && last) {
    const moved = round(place) - last.ct; // less than 0: the film began anew
    const lacking = (now - Math.max(last.t, log.started)) / 1000 - moved;
    // Playback that runs is never exactly as far as the wall clock; a stall is far behind it.
    if (moved >= 0 && lacking > 0.1) stood += lacking;
  }
  let ahead = 0;
  for (let i = 0; i < video.buffered.length; i++) {
    if (video.buffered.start(i) <= place + 0.1 && place < video.buffered.end(i)) ahead = video.buffered.end(i) - place;
  }
  log.samples.push({
    t: now,
    ct: round(place),
    h: video.videoHeight,
    buf: round(ahead),
    bt: log.started === null ? 0 : round(stats.bufferingTime - startup),
    stood: round(stood),
    play: !video.paused && !video.ended && video.readyState > 2,
    dropped: quality.droppedVideoFrames,
    frames: quality.totalVideoFrames - quality.droppedVideoFrames,
    estimate: Math.round(stats.estimatedBandwidth),
  });
}

const round = (seconds) => Math.round(1000 * seconds) / 1000;

/** Return the log so far. */
function collect() {
  const fetched = performance.getEntriesByType('resource').filter((entry) => /\.(m4s|mpd)$/.test(entry.name));
  for (const {nextHopProtocol: protocol} of fetched) {
    // Requests that were given up tell none.
    if (protocol) log.protocols[protocol] = (log.protocols[protocol] ?? 0) + 1;
  }
  if (player) {
    const stats = player.getStats();
    const {decodedFrames, droppedFrames, stallsDetected, gapsJumped, bufferingTime, playTime, bytesDownloaded} = stats;
    log.stats = {startup, decodedFrames, droppedFrames, stallsDetected, gapsJumped, bufferingTime, playTime, bytesDownloaded};
    log.states = stats.stateHistory.map((each) => [1000 * each.timestamp, each.state, each.duration]);
    log.switches = stats.switchHistory.map((each) => [1000 * each.timestamp, each.id, each.bandwidth]);
  }
  log.drift = Date.now() - performance.timeOrigin - performance.now();
  return log;
}

// The page of call.py, at both ends of a call. Times are unix ms.

const PERIOD = 200; // ms between samples
const BEAT = 50; // ms between looks at the clock

const KEPT = {
  'candidate-pair': ['currentRoundTripTime', 'availableOutgoingBitrate', 'bytesSent', 'bytesReceived'],
  'inbound-rtp': [
    'framesPerSecond', 'framesReceived', 'framesDecoded', 'framesDropped', 'framesRendered', 'keyFramesDecoded',
    'bytesReceived', 'headerBytesReceived', 'packetsReceived', 'packetsLost', 'packetsDiscarded', 'jitter',
    'retransmittedPacketsReceived', 'retransmittedBytesReceived', 'fecPacketsReceived',
    'frameWidth', 'frameHeight', 'freezeCount', 'totalFreezesDuration', 'pauseCount', 'totalPausesDuration',
    'totalInterFrameDelay', 'totalSquaredInterFrameDelay', 'totalDecodeTime', 'totalProcessingDelay',
    'jitterBufferDelay', 'jitterBufferEmittedCount', 'nackCount', 'pliCount', 'firCount', 'qpSum', 'ssrc',
    'concealedSamples', 'totalSamplesReceived', 'decoderImplementation',
  ],
  'outbound-rtp': [
    'framesPerSecond', 'framesEncoded', 'framesSent', 'keyFramesEncoded', 'hugeFramesSent', 'bytesSent',
    'headerBytesSent', 'packetsSent', 'retransmittedPacketsSent', 'retransmittedBytesSent', 'frameWidth', 'frameHeight',
    'targetBitrate', 'totalEncodeTime', 'totalPacketSendDelay', 'qualityLimitationReason',
    'qualityLimitationDurations', 'qualityLimitationResolutionChanges', 'nackCount', 'pliCount', 'firCount', 'qpSum',
    'ssrc', 'encoderImplementation',
  ],
  'media-source': ['frames', 'framesPerSecond', 'width', 'height'],
};
const SIDES = {'inbound-rtp': 'in', 'outbound-rtp': 'out', 'media-source': 'source'};

const log = {samples: [], state: [], connected: null, drift: 0};
let peer = null;
let late = 0; // ms that a timer came late at most since the last sample: what this end's processor keeps waiting

/** Take camera and microphone, and make the connection. settings: height, fps, codec, preference, maximum (bits/s). */
async function prepare(settings) {
  const video = {height: settings.height, width: settings.width, frameRate: settings.fps};
  const stream = await navigator.mediaDevices.getUserMedia({audio: true, video});
  peer = new RTCPeerConnection({iceServers: []});
  peer.onconnectionstatechange = () => {
    log.state.push([Date.now(), peer.connectionState]);
    if (peer.connectionState === 'connected') log.connected ??= Date.now();
  };
  peer.ontrack = ({track, streams}) => {
    if (track.kind === 'video') document.getElementById('picture').srcObject = streams[0];
  };
  for (const track of stream.getTracks()) {
    const sender = peer.addTrack(track, stream);
    if (track.kind !== 'video') continue;
    const parameters = sender.getParameters();
    parameters.degradationPreference = settings.preference;
    if (settings.maximum) parameters.encodings[0].maxBitrate = settings.maximum;
    await sender.setParameters(parameters);
  }
  const {width, height, frameRate} = stream.getVideoTracks()[0].getSettings();
  return {width, height, frameRate};
}

/** Offer the call, or answer an offer; return the description once all candidates are in it. */
async function describe(settings, offer = null) {
  if (offer) await peer.setRemoteDescription(offer);
  for (const transceiver of peer.getTransceivers()) {
    if (transceiver.receiver.track.kind !== 'video') continue;
    const known = RTCRtpReceiver.getCapabilities('video').codecs;
    const wanted = known.filter(({mimeType}) => mimeType === `video/${settings.codec}` || /\/(rtx|red|ulpfec)$/.test(mimeType));
    transceiver.setCodecPreferences(wanted);
  }
  await peer.setLocalDescription(await (offer ? peer.createAnswer() : peer.createOffer()));
  while (peer.iceGatheringState !== 'complete') {
    await new Promise((resolve) => peer.addEventListener('icegatheringstatechange', resolve, {once: true}));
  }
  return peer.localDescription.toJSON();
}

const accept = (answer) => peer.setRemoteDescription(answer);

function watch() {
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    late = Math.max(late, now - last - BEAT);
    last = now;
  }, BEAT);
  setInterval(sample, PERIOD);
}

async function sample() {
  const asked = Date.now();
  const report = await peer.getStats();
  const now = Date.now();
  const taken = {t: Math.round((asked + now) / 2), late: Math.round(late), pair: {}};
  late = 0;
  for (const entry of report.values()) {
    if (!(entry.type in KEPT) || (entry.type === 'candidate-pair' && !entry.nominated)) continue;
    const kept = {};
    for (const key of KEPT[entry.type]) if (entry[key] !== undefined) kept[key] = entry[key];
    if (entry.codecId) kept.codec = report.get(entry.codecId)?.mimeType;
    taken[entry.type === 'candidate-pair' ? 'pair' : `${SIDES[entry.type]}_${entry.kind}`] = kept;
  }
  log.samples.push(taken);
}

/** Return the log so far. */
function collect() {
  log.drift = Date.now() - performance.timeOrigin - performance.now();
  return log;
}

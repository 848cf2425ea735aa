// A softphone without a keyboard: it fetches orders from the test driver and posts what came of them.
//
// Each call is a new RTCPeerConnection. The microphone is an oscillator, the ear an analyser in which
// Goertzel's filter looks for tones. Candidates are gathered before the description is handed over,
// because NG carries whole descriptions.

"use strict";

const FFT_SIZE = 4096;
const LISTEN_EVERY_MS = 100;
const GATHER_AT_MOST_MS = 3000;
// Root mean square, full scale being 1; a tone of the tests has about 0.2.
const SILENCE = 0.01;
const TONE_SHARE = 0.6;

let context;
let call = null;

class Call {
  constructor({ tone_hz, expect_hz }) {
    this.expect_hz = expect_hz;
    this.tone_hz = tone_hz;
    this.heard = { windows: 0, loud: 0, tone: 0, echo: 0 };
    this.states = [];
    this.began = performance.now();
    this.connection = new RTCPeerConnection();
    this.connection.onconnectionstatechange = () => this.note(this.connection.connectionState);
    this.connection.ontrack = (event) => this.listen(event.streams[0] || new MediaStream([event.track]));
    this.speak();
  }

  note(state) {
    this.states.push([state, Math.round(performance.now() - this.began)]);
  }

  speak() {
    this.oscillator = new OscillatorNode(context, { frequency: this.tone_hz });
    const volume = new GainNode(context, { gain: 0.3 });
    const microphone = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
    this.oscillator.connect(volume).connect(microphone);
    this.oscillator.start();
    this.microphone = microphone.stream;
    this.connection.addTrack(this.microphone.getAudioTracks()[0], this.microphone);
  }

  listen(stream) {
    // Chromium gives a remote stream to Web Audio only while an element plays it.
    const speaker = document.getElementById("speaker");
    speaker.muted = true;
    speaker.srcObject = stream;
    this.ear = new AnalyserNode(context, { fftSize: FFT_SIZE });
    this.source = new MediaStreamAudioSourceNode(context, { mediaStream: stream });
    this.source.connect(this.ear);
    const samples = new Float32Array(FFT_SIZE);
    this.timer = setInterval(() => {
      this.ear.getFloatTimeDomainData(samples);
      this.heard.windows += 1;
      if (loudness(samples) < SILENCE) return;
      this.heard.loud += 1;
      if (shareOf(this.expect_hz, samples) > TONE_SHARE) this.heard.tone += 1;
      if (shareOf(this.tone_hz, samples) > TONE_SHARE) this.heard.echo += 1;
    }, LISTEN_EVERY_MS);
  }

  // Offers all that the browser has, or only the codecs of the list: pairs of type and clock rate.
  async offer(codecs) {
    if (codecs) {
      const known = RTCRtpReceiver.getCapabilities("audio").codecs;
      const wanted = ({ mimeType, clockRate }) =>
        codecs.some(([type, rate]) => type === mimeType && rate === clockRate);
      this.connection.getTransceivers()[0].setCodecPreferences(known.filter(wanted));
    }
    await this.connection.setLocalDescription(await this.connection.createOffer());
    return this.described();
  }

  // With `passive` the other side has to send the ClientHello; Chromium's own choice is active.
  async answer(sdp, passive) {
    await this.connection.setRemoteDescription({ type: "offer", sdp });
    const answer = await this.connection.createAnswer();
    if (passive) answer.sdp = answer.sdp.replace("a=setup:active", "a=setup:passive");
    await this.connection.setLocalDescription(answer);
    return this.described();
  }

  async answered(sdp) {
    this.began = performance.now();
    await this.connection.setRemoteDescription({ type: "answer", sdp });
  }

  async described() {
    const connection = this.connection;
    await new Promise((done) => {
      const look = () => connection.iceGatheringState === "complete" && done();
      connection.onicegatheringstatechange = look;
      setTimeout(done, GATHER_AT_MOST_MS);
      look();
    });
    return connection.localDescription.sdp;
  }

  async report() {
    const result = { states: this.states, heard: this.heard, sample_rate: context.sampleRate };
    for (const entry of (await this.connection.getStats()).values()) {
      if (entry.type === "candidate-pair" && entry.nominated && entry.state === "succeeded") {
        result.pair = { requests_received: entry.requestsReceived, responses_received: entry.responsesReceived };
      } else if (entry.type === "transport") {
        const { iceRole, iceState, dtlsState, dtlsRole, tlsVersion, dtlsCipher, srtpCipher } = entry;
        result.transport = { iceRole, iceState, dtlsState, dtlsRole, tlsVersion, dtlsCipher, srtpCipher };
      } else if (entry.type === "inbound-rtp") {
        result.received = { packets: entry.packetsReceived, lost: entry.packetsLost };
      } else if (entry.type === "outbound-rtp") {
        result.sent = { packets: entry.packetsSent };
      } else if (entry.type === "remote-inbound-rtp") {
        result.peer_reports = { lost: entry.packetsLost, round_trip: entry.roundTripTime };
      } else if (entry.type === "codec" && entry.mimeType === "audio/opus") {
        result.codec = `${entry.mimeType} ${entry.payloadType}`;
      }
    }
    return result;
  }

  close() {
    clearInterval(this.timer);
    this.source?.disconnect();
    this.oscillator.stop();
    this.connection.close();
  }
}

function loudness(samples) {
  return Math.sqrt(energy(samples) / samples.length);
}

function energy(samples) {
  return samples.reduce((sum, sample) => sum + sample * sample, 0);
}

// The share of the energy that lies at a frequency: 1 for that tone alone.
function shareOf(hertz, samples) {
  const coefficient = 2 * Math.cos((2 * Math.PI * hertz) / context.sampleRate);
  let before = 0;
  let last = 0;
  for (const sample of samples) {
    [before, last] = [last, sample + coefficient * last - before];
  }
  const power = last * last + before * before - coefficient * last * before;
  return power / ((energy(samples) * samples.length) / 2);
}

const orders = {
  offer: async (order) => {
    call = new Call(order);
    return { sdp: await call.offer(order.codecs) };
  },
  answer: async (order) => {
    call = new Call(order);
    return { sdp: await call.answer(order.sdp, order.passive) };
  },
  answered: async (order) => {
    await call.answered(order.sdp);
    return {};
  },
  report: () => call.report(),
  hang_up: async () => {
    call?.close();
    call = null;
    return {};
  },
};

async function obey() {
  context = new AudioContext();
  await context.resume();
  for (;;) {
    const order = await (await fetch("/order")).json();
    if (order.what === undefined) continue;
    let result;
    try {
      result = await orders[order.what](order);
    } catch (error) {
      result = { error: String(error) };
    }
    await fetch("/result", { method: "POST", body: JSON.stringify(result) });
  }
}

obey();

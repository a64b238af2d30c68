/**
 * A client of the hub for browsers and Node (22, or 18 with a WebSocket handed in). One file, no
 * dependencies, no build step. What is said to the hub is docs/hub-protocol.md.
 *
 *     const hub = new HubClient("wss://hub.example/ws", { token });
 *     const builds = hub.subscribe("builds", { onMessage: (message) => show(message.data) });
 *     await hub.publish("builds", { build: 7 }, { type: "finished" });
 *
 * It stays connected: a lost connection is replaced after a random pause, and every subscription
 * goes on from its place. No offset of an epoch is given twice; what is missing is said. Where a
 * WebSocket cannot be opened, messages come as server-sent events until one can.
 *
 * @typedef {{epoch: string, offset: number}} Place
 * @typedef {{type: string, channel: string, epoch: string, offset: number, timestamp: string,
 *   data: any, user_id?: string, repository_id?: string | number}} Message
 * @typedef {string | (() => string | Promise<string>)} Token  a function is asked each time
 * @typedef {object} SubscribeOptions
 * @property {Place} [recover]  go on after this place
 * @property {object} [filter]  such as {eq: ["repo", 12]}
 * @property {Token} [token]  of a private channel
 * @property {(message: Message) => void} [onMessage]
 * @property {(gap: {channel: string, epoch: string, from: number, to: number}) => void} [onGap]
 * @property {(reset: {channel: string, epoch: string, offset: number}) => void} [onReset]
 * @property {(presence: {channel: string, joined: string[], left: string[], users: number}) => void} [onPresence]
 * @property {(error: HubError) => void} [onEnd]  the hub has ended it, or refuses this client
 *
 * @typedef {object} ClientOptions
 * @property {Token} [token]  an API key or a JWT; in fallback it is part of a URL
 * @property {number} [timeout]  milliseconds of a command, waiting for a connection included
 * @property {(notice: {event: string, timestamp: string, data: any}) => void} [onDirect]
 * @property {(transport: "websocket" | "events" | null) => void} [onTransport]  null: away
 * @property {number} [fallbackAfter]  WebSockets in a row that do not open until events are tried
 * @property {number} [upgradeEvery]  milliseconds between attempts to come back from events
 * @property {number} [grace]  milliseconds for an answer to a ping; then the connection is dead
 * @property {string} [eventsUrl]  of server-sent events, beside the WebSocket unless given
 * @property {any} [WebSocket]
 * @property {any} [EventSource]
 */

const FINAL = new Set([1002, 1007, 1009, 4001, 4003, 4004]);
const EXPIRED = new Set(["unauthorized", "expired"]);
const MEND = new Set(["too_many", "unavailable", "internal"]);
const CONNECT = 10_000; // milliseconds for a connection to be there
const STEADY = 10_000; // milliseconds after which a connection counts as good
const SHARE = 0.8; // of a hub's burst that is used: what is given in time may arrive all at once

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
/** Call a function of the application, if it gave one; the next ones come though it fails. */
const tell = (options, name, ...said) => {
  try {
    options[name]?.(...said);
  } catch (error) {
    console.error(`${name} failed`, error);
  }
};
const current = async (token) => (typeof token === "function" ? token() : token);

/** Milliseconds below a bound that doubles with each failure: "full jitter". uniform: 0 to 1. */
export function fullJitter(failures, uniform = Math.random()) {
  return uniform * Math.min(30_000, 500 * 2 ** Math.min(failures, 6));
}

/** Whether a filter, see docs/hub-protocol.md, wants a message with that data. */
export function wants(filter, data) {
  const [[operator, operand]] = Object.entries(filter);
  if (operator === "not") return !wants(operand, data);
  if (operator === "and") return operand.every((one) => wants(one, data));
  if (operator === "or") return operand.some((one) => wants(one, data));
  const [field, value] = operator === "exists" ? [operand] : operand;
  const within = (found, step) =>
    found && typeof found === "object" && !Array.isArray(found) && Object.hasOwn(found, step)
      ? found[step] : undefined;
  const found = field.split(".").reduce(within, data);
  const ordered = typeof found === typeof value && typeof found !== "boolean";
  switch (operator) {
    case "eq": return found === value;
    case "ne": return found !== value;
    case "in": return value.includes(found);
    case "contains": return Array.isArray(found) && found.includes(value);
    case "exists": return found !== undefined;
    case "prefix": return typeof found === "string" && found.startsWith(value);
    case "gt": return ordered && found > value;
    case "lt": return ordered && found < value;
    default: return false;
  }
}

/** code: the hub's, or `unreachable`, `interrupted` (it may have been done), `ended`, `closed`. */
export class HubError extends Error {
  constructor(code, message, closeCode = 0) {
    super(`${code}: ${message}`);
    this.name = "HubError";
    this.code = code;
    this.closeCode = closeCode;
  }
}

/** Why there is no connection. final: do not come again. */
class Lost extends Error {
  constructor(reason, code = 0, final = FINAL.has(code)) {
    super(reason);
    this.code = code;
    this.final = final;
  }
}

/** A channel, over all connections of its life. `ready` resolves when it is subscribed. */
class Subscription {
  #asked = new Map();
  #settle;
  link = 0; // the connection whose messages count
  live = true;

  constructor(channel, options, leave) {
    this.channel = channel;
    this.options = options;
    /** @type {Place | null} of the last message given */
    this.place = options.recover ?? null;
    this.ready = new Promise((resolve, reject) => { this.#settle = { resolve, reject }; });
    this.ready.catch(() => {}); // who does not wait for it hears of it by onEnd
    /** @type {() => Promise<void>} */
    this.unsubscribe = () => leave(this);
  }

  ask(link) {
    this.#asked.set(link, this.place);
    return this.place;
  }

  lost(link) {
    this.#asked.delete(link);
    if (this.link === link) this.link = 0;
  }

  /** A connection has answered; if it does not count after that, ask again from where we are. */
  subscribed(link, { epoch, offset, recovered }) {
    const asked = this.#asked.get(link) ?? null;
    const known = this.place;
    this.#asked.delete(link);
    if (!this.live || link < this.link) return;
    if (known && (!asked || asked.epoch !== known.epoch)) return;
    this.link = link;
    if (!known) this.place = { epoch, offset };
    else if (epoch !== known.epoch || (offset < asked.offset && !recovered)) this.reset(link, { epoch, offset });
    else if (!recovered) this.gap(link, known.offset + 1, offset);
    this.#settle.resolve();
  }

  /** filtered: by the hub; it filters no events. */
  message(link, said, filtered) {
    if (this.link !== link || said.offset <= this.place.offset) return;
    this.place = { epoch: this.place.epoch, offset: said.offset };
    const { filter } = this.options;
    if (!filtered && filter && !wants(filter, said.data)) return;
    this.#tell("onMessage", { ...said, epoch: this.place.epoch });
  }

  gap(link, from, to) {
    if (this.link !== link || to <= this.place.offset) return;
    const first = Math.max(from, this.place.offset + 1);
    this.place = { epoch: this.place.epoch, offset: to };
    this.#tell("onGap", { channel: this.channel, epoch: this.place.epoch, from: first, to });
  }

  reset(link, { epoch, offset }) {
    if (this.link !== link) return;
    this.place = { epoch, offset };
    this.#tell("onReset", { channel: this.channel, epoch, offset });
  }

  presence(link, { joined, left, users }) {
    if (this.link === link) this.#tell("onPresence", { channel: this.channel, joined, left, users });
  }

  end(error) {
    if (!this.live) return;
    this.#settle.reject(error);
    if (error.code !== "closed") this.#tell("onEnd", error);
    this.live = false;
  }

  #tell(name, event) {
    if (this.live) tell(this.options, name, event);
  }
}

/** What both ways to be connected share. over: why it has ended. next: that, or when to move on. */
class Link {
  over = null;

  constructor(number, take) {
    this.number = number;
    this.take = take;
    this.next = new Promise((done) => { this.moveOn = done; });
    this.ended = new Promise((done) => { this.finished = done; });
  }

  end(lost) {
    if (this.over) return;
    this.over = lost;
    this.release();
    this.moveOn(lost);
    this.finished(lost);
  }
}

/** One WebSocket. */
class Socket extends Link {
  kind = "websocket";
  #pending = new Map();
  #heard = Date.now();
  #ping = 25_000;
  #rate = 50; // of commands, and how many at once, until the welcome says it
  #burst = 100;
  #full = 0; // when the hub's bucket is full again
  #grace;
  #timer;
  #socket;
  #ids;
  welcomed = false;

  constructor(number, take, ids, socket, grace) {
    super(number, take);
    this.#ids = ids;
    this.#grace = grace;
    this.#socket = socket;
    this.opened = new Promise((done, fail) => {
      const timer = setTimeout(() => this.end(new Lost("it does not answer in time")), CONNECT);
      this.ended.then((lost) => { clearTimeout(timer); fail(lost); });
      socket.onopen = () => { clearTimeout(timer); done(); };
    });
    socket.onclose = ({ code, reason }) => this.end(new Lost(`closed with code ${code} ${reason}`.trim(), code));
    socket.onerror = () => {}; // it closes, too
    socket.onmessage = ({ data }) => this.#hear(data);
    this.#watch();
  }

  /** The reply; null when the connection ends before it. then: called with it, in its order. */
  ask(command, then = () => {}) {
    if (this.over) return Promise.resolve(null);
    const id = this.#ids.next++;
    return new Promise((done) => {
      this.#pending.set(id, { done, then });
      const give = () => { if (!this.over) this.#socket.send(JSON.stringify({ id, ...command })); };
      const delay = this.#delay();
      if (delay > 0) setTimeout(give, delay);
      else give();
    });
  }

  /** Milliseconds until the hub takes another command: it bounds how many come. */
  #delay() {
    const now = Date.now();
    this.#full = Math.max(this.#full, now) + 1000 / this.#rate;
    return this.#full - now - (SHARE * this.#burst * 1000) / this.#rate;
  }

  /** Resolves when every command has its reply. */
  async idle() {
    while (this.#pending.size && !this.over) await sleep(10);
  }

  release() {
    clearTimeout(this.#timer);
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close(1000);
    for (const { done } of this.#pending.values()) done(null);
    this.#pending.clear();
  }

  #hear(text) {
    this.#heard = Date.now();
    try {
      const said = JSON.parse(text);
      if (said.id === undefined) {
        if (said.type === "welcome") {
          this.welcomed = true;
          this.#ping = said.ping * 1000;
          if (said.rate > 0 && said.burst > 0) [this.#rate, this.#burst] = [said.rate, said.burst];
          this.#watch();
        }
        this.take(this, said);
        return;
      }
      const waiting = this.#pending.get(said.id);
      this.#pending.delete(said.id);
      waiting?.then(said);
      waiting?.done(said);
    } catch (error) {
      this.end(new Lost(`what the hub says cannot be understood: ${error.message}`));
    }
  }

  /** A page does not see pings: it asks itself when nothing has come for as long as they take. */
  #watch() {
    clearTimeout(this.#timer);
    if (this.over) return;
    const silent = Date.now() - this.#heard;
    if (silent < this.#ping) {
      this.#timer = setTimeout(() => this.#watch(), this.#ping - silent);
      return;
    }
    const asked = Date.now();
    if (this.#socket.readyState === 1) this.ask({ type: "ping" });
    this.#timer = setTimeout(() => {
      if (this.#heard >= asked) this.#watch();
      else this.end(new Lost("nothing was heard"));
    }, this.#grace);
  }
}

/** Server-sent events: the same messages, no commands. */
class Events extends Link {
  kind = "events";
  welcomed = true;
  #source;

  constructor(number, take, source, subscriptions) {
    super(number, take);
    this.#source = source;
    for (const one of subscriptions) one.ask(number);
    const hear = (use) => ({ data }) => {
      try {
        use(JSON.parse(data));
      } catch (error) {
        this.end(new Lost(`what the hub says cannot be understood: ${error.message}`));
      }
    };
    this.opened = new Promise((done, fail) => {
      const timer = setTimeout(() => this.end(new Lost("it does not answer in time")), CONNECT);
      this.ended.then((lost) => { clearTimeout(timer); fail(lost); });
      source.addEventListener("subscribed", hear(({ channels }) => {
        clearTimeout(timer);
        for (const one of channels) {
          subscriptions.find(({ channel }) => channel === one.channel)?.subscribed(number, one);
        }
        done();
      }));
    });
    for (const type of ["message", "gap", "reset", "presence", "reconnect"]) {
      source.addEventListener(type, hear((said) => take(this, said)));
    }
    source.addEventListener("closed", hear(({ code, reason, again }) => this.end(new Lost(reason, code, !again))));
    source.onerror = () => this.end(new Lost("the events have ended"));
  }

  async idle() {}

  release() {
    this.#source.close();
  }
}

export class HubClient {
  #url;
  #options;
  #subscriptions = new Map();
  #links = new Set();
  #current = null;
  #error = null; // why there will be no connection any more
  #ids = { next: 1 };
  #numbers = 1;
  #changed;
  #wake = () => {};
  #reason = "there is no connection yet";

  /** @param {string} url  such as wss://hub.example/ws @param {ClientOptions} [options] */
  constructor(url, options = {}) {
    this.#url = url;
    this.#options = {
      timeout: 10_000, grace: 10_000, fallbackAfter: 3, upgradeEvery: 30_000,
      WebSocket: globalThis.WebSocket, EventSource: globalThis.EventSource, ...options,
    };
    if (!this.#options.WebSocket && !this.#options.EventSource) {
      throw new Error("there is no WebSocket here: hand one in, new HubClient(url, {WebSocket})");
    }
    this.#change();
    this.#run();
  }

  /** "websocket", "events", or null while there is no connection. */
  get transport() {
    return this.#current?.kind ?? null;
  }

  /** @param {string} channel @param {SubscribeOptions} [options] */
  subscribe(channel, options = {}) {
    if (this.#subscriptions.has(channel)) throw new Error(`${channel} is subscribed already`);
    const subscription = new Subscription(channel, options, (one) => this.#leave(one));
    if (this.#error) {
      queueMicrotask(() => subscription.end(this.#error));
      return subscription;
    }
    this.#subscriptions.set(channel, subscription);
    if (this.#current?.kind === "websocket") this.#attach(this.#current, subscription);
    else this.#renew();
    return subscription;
  }

  /**
   * @param {string} channel @param {any} data
   * @param {{type?: string, echo?: boolean, retry?: boolean}} [options] retry: publish again when
   *   the connection was lost before the answer: it may be there twice then
   * @returns {Promise<Place>}
   */
  async publish(channel, data, { type, echo, retry = false } = {}) {
    const command = { type: "publish", channel, data, event: type, echo };
    const { epoch, offset } = await this.#command(command, retry);
    return { epoch, offset };
  }

  /** @param {string} channel @param {{since?: Place, limit?: number}} [options] */
  async history(channel, { since, limit } = {}) {
    const page = await this.#command({ type: "history", channel, since, limit }, true);
    for (const message of page.messages) message.epoch = page.epoch;
    return page;
  }

  /** @param {string} channel @param {{after?: string, limit?: number}} [options] */
  presence(channel, { after, limit } = {}) {
    return this.#command({ type: "presence", channel, after, limit }, true);
  }

  /** An application's own command; the reply's data. */
  async call(type, data = null, { retry = false } = {}) {
    return (await this.#command({ type, data }, retry)).data;
  }

  /** End everything. */
  close() {
    this.#finish(new HubError("closed", "the client has been closed"));
  }

  // -- commands ---------------------------------------------------------------------------------

  async #command(command, retry) {
    let timer;
    const late = new Promise((_, fail) => {
      const text = () => (this.#current?.kind === "websocket" ? "it is silent" : this.#reason);
      timer = setTimeout(() => fail(new HubError("unreachable", text())), this.#options.timeout);
    });
    const state = { over: false };
    try {
      return await Promise.race([this.#attempts(command, retry, state), late]);
    } finally {
      state.over = true;
      clearTimeout(timer);
    }
  }

  async #attempts(command, retry, state) {
    for (let failures = 0; ; failures++) {
      while (this.#current?.kind !== "websocket" && !this.#error && !state.over) await this.#changed;
      if (state.over) return null;
      if (this.#error) throw this.#error;
      const reply = await this.#current.ask(command);
      if (reply && reply.type !== "error") return reply;
      const error = reply
        ? new HubError(reply.code, reply.message)
        : new HubError("interrupted", "the connection was lost before the answer: it may have been done");
      if (!retry || (reply && !MEND.has(reply.code))) throw error;
      if (reply) await sleep(fullJitter(failures));
    }
  }

  // -- subscriptions ----------------------------------------------------------------------------

  async #attach(link, subscription) {
    const here = () => link === this.#current && !link.over && subscription.live;
    for (let failures = 0; here(); failures++) {
      if (failures) await sleep(fullJitter(failures - 1));
      let token;
      try {
        token = await current(subscription.options.token);
      } catch {
        continue; // whoever makes tokens may be away
      }
      if (!here()) return;
      const { channel, options: { filter } } = subscription;
      const recover = subscription.ask(link.number) ?? undefined;
      const reply = await link.ask(
        { type: "subscribe", channel, recover, filter, token },
        (said) => said.type === "subscribed" && subscription.subscribed(link.number, said),
      );
      if (!reply || subscription.link === link.number) return;
      if (reply.type === "error" && !MEND.has(reply.code)) {
        this.#dismiss(subscription, new HubError(reply.code, reply.message));
        return;
      }
    }
  }

  #dismiss(subscription, error) {
    if (this.#subscriptions.get(subscription.channel) === subscription) {
      this.#subscriptions.delete(subscription.channel);
    }
    subscription.end(error);
  }

  async #leave(subscription) {
    if (!subscription.live) return;
    this.#dismiss(subscription, new HubError("closed", "unsubscribed"));
    if (this.#current?.kind === "websocket") {
      await this.#current.ask({ type: "unsubscribe", channel: subscription.channel });
    } else this.#renew();
  }

  /** Events are for the channels that they began with. */
  #renew() {
    if (this.#current?.kind === "events") queueMicrotask(() => this.#current?.moveOn("renew"));
  }

  // -- the connection ---------------------------------------------------------------------------

  async #run() {
    let failures = 0;
    let refused = 0; // WebSockets in a row that did not open
    let events = false; // open events, not a WebSocket
    while (!this.#error) {
      const began = Date.now();
      const tried = events;
      let link = null;
      let lost = null;
      try {
        link = await (events ? this.#openEvents() : this.#openSocket());
        refused = link.kind === "websocket" ? 0 : refused;
        this.#adopt(link);
      } catch (error) {
        lost = error instanceof Lost ? error : new Lost(error.message);
        if (!tried) refused++;
        link = this.#current?.over === null && this.#current.kind === "events" ? this.#current : null;
      }
      events = false;
      if (link && !lost?.final) {
        const found = await this.#stay(link);
        events = found === "renew" && this.#subscriptions.size > 0;
        if (Date.now() - began >= STEADY) failures = 0;
        // All nodes may send us elsewhere, one after the other.
        else if (found === "moved") await this.#pause(fullJitter(failures++));
        if (!(found instanceof Lost)) continue;
        lost = found;
        if (lost.code === 4001 && link.welcomed && typeof this.#options.token === "function") lost.final = false;
      }
      this.#reason = lost.message;
      if (this.#error) return;
      if (lost.final) {
        this.#finish(new HubError("ended", `the hub refuses this client: ${lost.message}`, lost.code));
        return;
      }
      const { fallbackAfter, EventSource } = this.#options;
      // Events that worked are the first to try again; where none can be had, both in turn.
      const likely = link?.kind === "events" || (!tried && refused >= fallbackAfter);
      events = likely && Boolean(EventSource) && this.#subscriptions.size > 0;
      if (Date.now() - began >= STEADY) failures = 0;
      await this.#pause(fullJitter(failures++));
    }
  }

  /** Wait until a connection has ended: Lost, or until it is time for another one. */
  async #stay(link) {
    let timer;
    const waiting = [link.next];
    if (link.kind === "events") {
      waiting.push(new Promise((done) => { timer = setTimeout(done, this.#options.upgradeEvery, "upgrade"); }));
    }
    let found = await Promise.race(waiting);
    clearTimeout(timer);
    if (typeof found === "number") { // a node that stops: in so many milliseconds
      found = await Promise.race([link.ended, new Promise((done) => { timer = setTimeout(done, found, "moved"); })]);
      clearTimeout(timer);
    }
    if (found === "renew") link.next = new Promise((done) => { link.moveOn = done; });
    return link.over ?? found;
  }

  async #openSocket() {
    const token = await current(this.#options.token);
    const { WebSocket, grace } = this.#options;
    if (!WebSocket) throw new Lost("there is no WebSocket here: hand one in as an option");
    const take = (...said) => this.#take(...said);
    const socket = new WebSocket(this.#url);
    const link = this.#add(new Socket(this.#numbers++, take, this.#ids, socket, grace));
    await link.opened;
    if (token === undefined) return link;
    const reply = await link.ask({ type: "connect", token });
    if (reply?.type === "error") {
      const final = !MEND.has(reply.code);
      link.end(new Lost(`${reply.code}: ${reply.message}`, final ? 4001 : 0, final));
    }
    if (link.over) throw link.over;
    return link;
  }

  async #openEvents() {
    const url = new URL(this.#options.eventsUrl ?? new URL("v1/sse", this.#url));
    url.protocol = url.protocol.replace("ws", "http");
    const token = await current(this.#options.token);
    const subscriptions = [...this.#subscriptions.values()];
    const places = [];
    if (token !== undefined) url.searchParams.set("token", token);
    for (const one of subscriptions) {
      const grant = await current(one.options.token);
      url.searchParams.append("channel", one.channel);
      if (grant !== undefined) url.searchParams.append("grant", grant);
    }
    for (const { channel, place } of subscriptions) {
      if (place) places.push(`${encodeURIComponent(channel)}=${place.epoch}:${place.offset}`);
    }
    if (places.length) url.searchParams.set("after", places.join(","));
    const source = new this.#options.EventSource(url.href);
    const take = (...said) => this.#take(...said);
    const link = this.#add(new Events(this.#numbers++, take, source, subscriptions));
    await link.opened;
    return link;
  }

  #add(link) {
    this.#links.add(link);
    link.ended.then(() => {
      this.#links.delete(link);
      for (const one of this.#subscriptions.values()) one.lost(link.number);
      if (this.#current === link) this.#use(null);
    });
    if (this.#error) link.end(new Lost("closed"));
    return link;
  }

  #use(link) {
    const before = this.transport;
    this.#current = link;
    this.#change();
    if (before !== this.transport) tell(this.#options, "onTransport", this.transport);
  }

  #change() {
    this.#wake();
    this.#changed = new Promise((done) => { this.#wake = done; });
  }

  /** Until then, or until there will be no connection any more: a timer would keep Node alive. */
  async #pause(ms) {
    let timer;
    let waiting = true;
    const later = new Promise((done) => { timer = setTimeout(done, ms); }).then(() => { waiting = false; });
    while (waiting && !this.#error) await Promise.race([later, this.#changed]);
    clearTimeout(timer);
  }

  /** Use a connection, and close those before it when everything is followed on this one. */
  async #adopt(link) {
    if (this.#error || link.over) return;
    this.#use(link);
    if (link.kind === "websocket") {
      await Promise.all([...this.#subscriptions.values()].map((one) => this.#attach(link, one)));
    }
    if (link !== this.#current) return;
    for (const before of this.#links) {
      if (before.number < link.number) before.idle().then(() => before.end(new Lost("moved")));
    }
  }

  #take(link, said) {
    const one = this.#subscriptions.get(said.channel);
    if ("offset" in said && "data" in said) {
      return one?.message(link.number, said, link.kind === "websocket");
    }
    switch (said.type) {
      case "gap": return one?.gap(link.number, said.from, said.to);
      case "reset": return one?.reset(link.number, said);
      case "presence": return one?.presence(link.number, said);
      case "reconnect": return link.moveOn(Math.max(0, Number(said.after_ms) || 0));
      case "direct": return tell(this.#options, "onDirect", said);
      case "unsubscribed":
        if (one?.link !== link.number) return undefined;
        if (EXPIRED.has(said.code) && typeof one.options.token === "function") return void this.#attach(link, one);
        return this.#dismiss(one, new HubError(said.code, said.reason));
      default: return undefined; // of a later version
    }
  }

  #finish(error) {
    if (this.#error) return;
    this.#error = error;
    for (const link of this.#links) link.end(new Lost("closed"));
    for (const one of this.#subscriptions.values()) one.end(error);
    this.#subscriptions.clear();
    this.#change();
  }
}

// SPDX-License-Identifier: BSD-2-Clause
//
// agent.js - one process with an unmodified ali-ons in it, told by lines on its standard input what to
// do; the same lines, and the same answers, as java/src/Agent.java. It has: produce, consume, stop.

'use strict';

const crypto = require('crypto');
const readline = require('readline');
const httpclient = require('urllib');
const { Consumer, Producer, Message } = require('ali-ons');

const nameSrv = process.env.NAMESRV_ADDR;
const running = new Map();
const silent = { info() {}, warn() {}, error() {}, debug() {} };

function say(id, ev, more) {
  process.stdout.write('\n' + JSON.stringify(Object.assign({ id, ev }, more)) + '\n');
}

function hash(data) {
  return crypto.createHash('sha256').update(data).digest();
}

// body() of messages.py
function bodyOf(seed, index, limit) {
  let block = hash(`${seed}:${index}:0`);
  const length = block.readUInt32BE(0) % Math.max(1, limit);
  const parts = [];
  for (let number = 0; number * 32 < length; number++) {
    if (number % 8 === 0) block = hash(`${seed}:${index}:${Math.floor(number / 8)}`);
    parts.push(block);
  }
  return Buffer.concat([ Buffer.from(`${seed}:${index}:`), Buffer.concat(parts).subarray(0, length) ]);
}

function signing(values) {
  return values.access ? { accessKey: values.access, secretKey: values.secret } : {};
}

async function produce(id, values) {
  const producer = new Producer({ httpclient, nameSrv, ...signing(values),
    producerGroup: values.group || 'P-node', instanceName: 'agent' + id, logger: silent });
  producer.on('error', error => say(id, 'fail', { error: String(error) }));
  await producer.ready();
  const tags = (values.tags || '').split(',');
  const from = Number(values.from || 0);
  for (let i = from; i < from + Number(values.n || 1); i++) {
    const body = bodyOf(values.seed, i, Number(values.max || 200));
    const message = new Message(values.topic, tags[i % tags.length], body);
    if (values.key) message.keys = [ values.key + i, values.key + 'all' ];
    message.properties.a = String(i % 10);
    if (values.property) message.properties.text = values.property;
    if (values.delay) message.delayTimeLevel = Number(values.delay);
    try {
      const result = await producer.send(message);
      say(id, 'ack', { i, status: result.sendStatus, offsetMsgId: result.msgId,
        q: Number(result.messageQueue.queueId), off: Number(result.queueOffset), t: Date.now() });
    } catch (error) {
      say(id, 'fail', { i, error: String(error), code: error.code });
    }
  }
  await producer.close();
}

async function consume(id, values, stopped) {
  const consumer = new Consumer({ httpclient, nameSrv, ...signing(values),
    consumerGroup: values.group, isBroadcast: values.model === 'broadcasting',
    instanceName: 'agent' + id, logger: silent,
    consumeFromWhere: values.from === 'last'
      ? 'CONSUME_FROM_LAST_OFFSET' : 'CONSUME_FROM_FIRST_OFFSET' });
  consumer.on('error', error => say(id, 'fail', { error: String(error) }));
  const expression = values.sql ? { expressionType: 'SQL92', subString: values.sql }
    : values.tags || '*';
  consumer.subscribe(values.topic, expression, async message => {
    const words = message.body.toString('latin1').split(':');
    const taken = message.reconsumeTimes >= Number(values.fail || 0) ||
      Number(words[1]) % Number(values.failevery || 1) !== 0;
    say(id, 'msg', { s: words[0], i: words[1], sum: hash(message.body).toString('hex').slice(0, 16),
      topic: message.topic, q: Number(message.queueId), off: Number(message.queueOffset),
      rec: message.reconsumeTimes, tags: message.tags, keys: message.keys, a: message.properties.a,
      text: message.properties.text, t: Date.now(), taken });
    return taken ? undefined : Consumer.ACTION_RETRY;
  });
  await consumer.ready();
  say(id, 'started');
  await stopped;
  await consumer.close();
}

readline.createInterface({ input: process.stdin }).on('line', async text => {
  const [ id, verb, ...pairs ] = text.trim().split(' ');
  const values = {};
  for (const pair of pairs) {
    const equal = pair.indexOf('=');
    values[pair.slice(0, equal)] = decodeURIComponent(pair.slice(equal + 1));
  }
  if (verb === 'stop') {
    running.get(values.of)();
    return;
  }
  const stopped = new Promise(resolve => running.set(id, resolve));
  try {
    await ({ produce, consume })[verb](id, values, stopped);
  } catch (error) {
    say(id, 'fail', { error: String(error), code: error.code });
  }
  say(id, 'end');
}).on('close', () => process.exit(0));

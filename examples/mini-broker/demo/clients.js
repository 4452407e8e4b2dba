// SPDX-License-Identifier: BSD-2-Clause
//
// clients.js - ali-ons, as a producer or as a consumer of one topic, for demo.sh.
//
//   node clients.js produce|consume TOPIC COUNT     NAMESRV_ADDR says where the name server is
//
// Each message has a body of its own, "node-17". Says "acknowledged BODY", "refused BODY" or
// "received BODY", a line each. A producer ends when COUNT were tried, a consumer when it is told to.

'use strict';

const httpclient = require('urllib');
const { Consumer, Producer, Message } = require('ali-ons');

const [ what, topic, count ] = process.argv.slice(2);
const silent = { info() {}, warn() {}, error() {}, debug() {} };
const common = { httpclient, nameSrv: process.env.NAMESRV_ADDR, logger: silent };
const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

async function produce() {
  const producer = new Producer({ ...common, producerGroup: 'demo-node' });
  producer.on('error', () => {});
  await producer.ready();
  for (let i = 0; i < Number(count); i++) {
    const body = `node-${i}`;
    try {
      const result = await producer.send(new Message(topic, 'demo', body));
      if (result.sendStatus !== 'SEND_OK') throw new Error(result.sendStatus);
      console.log(`acknowledged ${body}`);
      await pause(2);
    } catch (error) {
      console.log(`refused ${body}`);
      await pause(200);
    }
  }
  await producer.close();
}

async function consume() {
  const consumer = new Consumer({ ...common, consumerGroup: 'demo-node',
    consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET' });
  consumer.on('error', () => {});
  consumer.subscribe(topic, '*', async message => console.log(`received ${message.body}`));
  await consumer.ready();
  console.log('started');
}

({ produce, consume })[what]().then(() => what === 'produce' && process.exit(0));

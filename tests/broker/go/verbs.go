// SPDX-License-Identifier: BSD-2-Clause
//
// verbs.go - what the agent can be told to do.

package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func servers() primitive.NsResolver {
	return primitive.NewPassthroughResolver([]string{os.Getenv("NAMESRV_ADDR")})
}

// bodyOf is body() of messages.py.
func bodyOf(seed string, index, limit int) []byte {
	block := sha256.Sum256([]byte(fmt.Sprintf("%s:%d:0", seed, index)))
	length := int(binary.BigEndian.Uint32(block[:4])) % max(1, limit)
	body := []byte(fmt.Sprintf("%s:%d:", seed, index))
	for number := 0; length > 0; number++ {
		if number%8 == 0 {
			block = sha256.Sum256([]byte(fmt.Sprintf("%s:%d:%d", seed, index, number/8)))
		}
		taken := min(len(block), length)
		body = append(body, block[:taken]...)
		length -= taken
	}
	return body
}

func checksum(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:8])
}

func word(body []byte, number int) string {
	words := strings.SplitN(string(body[:min(len(body), 64)]), ":", 3)
	if len(words) < 3 {
		return ""
	}
	return words[number]
}

func (l *line) message(index int) *primitive.Message {
	body := bodyOf(l.text("seed", "0"), index, l.number("max", 200))
	message := primitive.NewMessage(l.values["topic"], body)
	tags := strings.Split(l.text("tags", ""), ",")
	if tag := tags[index%len(tags)]; tag != "" {
		message.WithTag(tag)
	}
	if key, ok := l.values["key"]; ok {
		message.WithKeys([]string{key + strconv.Itoa(index), key + "all"})
	}
	message.WithProperty("a", strconv.Itoa(index%10))
	if text, ok := l.values["property"]; ok {
		message.WithProperty("text", text)
	}
	if level := l.number("delay", 0); level > 0 {
		message.WithDelayTimeLevel(level)
	}
	return message
}

func acknowledged(l *line, index int, result *primitive.SendResult) {
	status := "SEND_OK"
	if result.Status != primitive.SendOK {
		status = fmt.Sprint(result.Status)
	}
	l.say("ack", fields{"i": index, "status": status, "msgId": result.MsgID, "offsetMsgId": result.OffsetMsgID, "q": result.MessageQueue.QueueId, "off": result.QueueOffset,
		"t": time.Now().UnixMilli()})
}

func produce(l *line) error {
	options := []producer.Option{producer.WithNsResolver(servers()), producer.WithRetry(2),
		producer.WithGroupName(l.text("group", "P-go")), producer.WithInstanceName("agent" + l.id),
		producer.WithSendMsgTimeout(10 * time.Second)}
	if l.values["mode"] == "ordered" {
		options = append(options, producer.WithQueueSelector(producer.NewHashQueueSelector()))
	}
	sender, err := rocketmq.NewProducer(options...)
	if err != nil {
		return err
	}
	if err = sender.Start(); err != nil {
		return err
	}
	defer sender.Shutdown()
	from := l.number("from", 0)
	until := from + l.number("n", 1)
	step := 1
	if l.values["mode"] == "batch" {
		step = l.number("batch", 8)
	}
	var left sync.WaitGroup
	for index := from; index < until; index += step {
		select {
		case <-l.stopped:
			return nil
		default:
		}
		l.until(func() error { return l.send(sender, index, min(step, until-index), &left) }, index)
		time.Sleep(time.Duration(l.number("pause", 0)) * time.Millisecond)
	}
	left.Wait()
	return nil
}

// until sends, with again=1 until it is acknowledged.
func (l *line) until(send func() error, index int) {
	for {
		err := send()
		if err == nil {
			return
		}
		l.fail(err, fields{"i": index})
		if l.number("again", 0) == 0 {
			return
		}
		select {
		case <-l.stopped:
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (l *line) send(sender rocketmq.Producer, index, count int, left *sync.WaitGroup) error {
	ctx := context.Background()
	message := l.message(index)
	switch l.text("mode", "sync") {
	case "oneway":
		err := sender.SendOneWay(ctx, message)
		l.say("sent", fields{"i": index})
		return err
	case "async":
		left.Add(1)
		err := sender.SendAsync(ctx, func(_ context.Context, result *primitive.SendResult, err error) {
			if err != nil {
				l.fail(err, fields{"i": index})
			} else {
				acknowledged(l, index, result)
			}
			left.Done()
		}, message)
		if err != nil {
			left.Done()
		}
		return err
	case "batch":
		var messages []*primitive.Message
		for i := 0; i < count; i++ {
			messages = append(messages, l.message(index+i))
		}
		result, err := sender.SendSync(ctx, messages...)
		if err == nil {
			l.say("batch", fields{"i": index, "n": count, "status": "SEND_OK", "msgId": result.MsgID,
				"q": result.MessageQueue.QueueId, "off": result.QueueOffset})
		}
		return err
	case "ordered":
		message.WithShardingKey(strconv.Itoa(index % l.number("streams", 1)))
	}
	result, err := sender.SendSync(ctx, message)
	if err == nil {
		acknowledged(l, index, result)
	}
	return err
}

func consume(l *line) error {
	ordered := l.values["mode"] == "orderly"
	options := []consumer.Option{consumer.WithNsResolver(servers()),
		consumer.WithGroupName(l.values["group"]), consumer.WithInstance("agent" + l.id),
		consumer.WithConsumerOrder(ordered), consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset)}
	if l.values["from"] == "last" {
		options = append(options, consumer.WithConsumeFromWhere(consumer.ConsumeFromLastOffset))
	}
	if l.values["model"] == "broadcasting" {
		options = append(options, consumer.WithConsumerModel(consumer.BroadCasting))
	}
	if rounds := l.number("maxrec", 0); rounds > 0 {
		options = append(options, consumer.WithMaxReconsumeTimes(int32(rounds)))
	}
	receiver, err := rocketmq.NewPushConsumer(options...)
	if err != nil {
		return err
	}
	selector := consumer.MessageSelector{Type: consumer.TAG, Expression: l.text("tags", "*")}
	if sql, ok := l.values["sql"]; ok {
		selector = consumer.MessageSelector{Type: consumer.SQL92, Expression: sql}
	}
	listener := func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		if !ordered {
			if concurrent, ok := primitive.GetConcurrentlyCtx(ctx); ok {
				concurrent.DelayLevelWhenNextConsume = l.number("retrylevel", 1)
			}
		}
		for _, message := range messages {
			if !l.received(message) {
				if ordered {
					return consumer.SuspendCurrentQueueAMoment, nil
				}
				return consumer.ConsumeRetryLater, nil
			}
		}
		return consumer.ConsumeSuccess, nil
	}
	if err = receiver.Subscribe(l.values["topic"], selector, listener); err != nil {
		return err
	}
	if err = receiver.Start(); err != nil {
		return err
	}
	l.say("started", nil)
	<-l.stopped
	return receiver.Shutdown()
}

func (l *line) received(message *primitive.MessageExt) bool {
	index, _ := strconv.Atoi(word(message.Body, 1))
	taken := int(message.ReconsumeTimes) >= l.number("fail", 0) || index%l.number("failevery", 1) != 0
	l.say("msg", fields{"s": word(message.Body, 0), "i": word(message.Body, 1), "sum": checksum(message.Body), "topic": message.Topic, "q": message.Queue.QueueId, "off": message.QueueOffset, "rec": message.ReconsumeTimes, "tags": message.GetTags(), "keys": message.GetKeys(), "a": message.GetProperty("a"), "text": message.GetProperty("text"),
		"msgId": message.MsgId, "offsetMsgId": message.OffsetMsgId, "born": message.BornTimestamp,
		"store": message.StoreTimestamp, "t": time.Now().UnixMilli(), "taken": taken})
	return taken
}

// As transact() in Producing.java.
type listener struct {
	l     *line
	lock  sync.Mutex
	asked map[string]int
}

func (t *listener) ExecuteLocalTransaction(message *primitive.Message) primitive.LocalTransactionState {
	index, _ := strconv.Atoi(word(message.Body, 1))
	switch index % 4 {
	case 0:
		return primitive.CommitMessageState
	case 1:
		return primitive.RollbackMessageState
	}
	return primitive.UnknowState
}

func (t *listener) CheckLocalTransaction(message *primitive.MessageExt) primitive.LocalTransactionState {
	index, _ := strconv.Atoi(word(message.Body, 1))
	t.lock.Lock()
	t.asked[message.TransactionId]++
	times := t.asked[message.TransactionId]
	t.lock.Unlock()
	t.l.say("check", fields{"i": index, "times": times, "sum": checksum(message.Body), "topic": message.Topic, "tags": message.GetTags(), "transactionId": message.TransactionId})
	if times < 2 {
		return primitive.UnknowState
	}
	if index%4 == 2 {
		return primitive.CommitMessageState
	}
	return primitive.RollbackMessageState
}

func transact(l *line) error {
	sender, err := rocketmq.NewTransactionProducer(&listener{l: l, asked: map[string]int{}},
		producer.WithNsResolver(servers()), producer.WithGroupName(l.values["group"]),
		producer.WithInstanceName("agent"+l.id))
	if err != nil {
		return err
	}
	if err = sender.Start(); err != nil {
		return err
	}
	defer sender.Shutdown()
	for index := 0; index < l.number("n", 1); index++ {
		result, err := sender.SendMessageInTransaction(context.Background(), l.message(index))
		if err != nil {
			l.fail(err, fields{"i": index})
			continue
		}
		acknowledged(l, index, result.SendResult)
	}
	l.say("sent", nil)
	<-l.stopped
	return nil
}

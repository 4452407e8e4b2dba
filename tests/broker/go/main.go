// SPDX-License-Identifier: BSD-2-Clause
//
// main.go - one process with an unmodified rocketmq-client-go in it, told by lines on its standard
// input what to do; the same lines, and the same answers, as java/src/Agent.java. It has: produce,
// consume, transact, stop.

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/apache/rocketmq-client-go/v2/rlog"
)

// What one line says.
type line struct {
	id, verb string
	values   map[string]string
	stopped  chan struct{}
}

type fields map[string]interface{}

var out sync.Mutex

func (l *line) say(event string, more fields) {
	all := fields{"id": l.id, "ev": event}
	for name, value := range more {
		all[name] = value
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	out.Lock()
	defer out.Unlock()
	fmt.Printf("\n%s\n", text)
}

func (l *line) fail(err error, more fields) {
	all := fields{"error": err.Error(), "code": -1}
	for name, value := range more {
		all[name] = value
	}
	l.say("fail", all)
}

func (l *line) text(name, otherwise string) string {
	if value, ok := l.values[name]; ok {
		return value
	}
	return otherwise
}

func (l *line) number(name string, otherwise int) int {
	if value, err := strconv.Atoi(l.values[name]); err == nil {
		return value
	}
	return otherwise
}

func (l *line) run() {
	verbs := map[string]func(*line) error{"produce": produce, "consume": consume, "transact": transact}
	verb, ok := verbs[l.verb]
	if !ok {
		l.say("fail", fields{"error": "no verb " + l.verb})
	} else if err := verb(l); err != nil {
		l.fail(err, nil)
	}
	l.say("end", nil)
}

func main() {
	rlog.SetLogLevel("fatal")
	running := map[string]*line{}
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(make([]byte, 1<<20), 1<<20)
	for input.Scan() {
		words := strings.Split(strings.TrimSpace(input.Text()), " ")
		told := &line{words[0], words[1], map[string]string{}, make(chan struct{})}
		for _, pair := range words[2:] {
			name, value, _ := strings.Cut(pair, "=")
			told.values[name], _ = url.PathUnescape(value)
		}
		if told.verb == "stop" {
			close(running[told.values["of"]].stopped)
			continue
		}
		running[told.id] = told
		go told.run()
	}
}

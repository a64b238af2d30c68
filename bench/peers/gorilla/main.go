// A hub with gorilla/websocket: main LISTEN
//
// The usual one, after the chat example of that library: one goroutine has the clients, each client has
// a goroutine that reads, one that writes, and a buffered channel between the hub and the latter;
// whose channel is full is closed. Every message is framed once (PreparedMessage). All peers ping
// every 25 s.
//
//	GET /ws                            a client; it gets every message
//	POST /publish?count=K&size=BYTES   K messages to everybody, at once
//	GET /health                        200
package main

import (
	"bytes"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/gorilla/websocket"
)

const (
	waiting   = 256 // messages that a client may be behind
	patience  = 10 * time.Second
	pingEvery = 25 * time.Second
	pongWait  = pingEvery + patience
	longest   = 65536
)

type client struct {
	conn *websocket.Conn
	send chan *websocket.PreparedMessage
}

type hub struct {
	clients map[*client]struct{}
	join    chan *client
	leave   chan *client
	publish chan []*websocket.PreparedMessage
}

func (h *hub) run() {
	for {
		select {
		case c := <-h.join:
			h.clients[c] = struct{}{}
		case c := <-h.leave:
			h.remove(c)
		case messages := <-h.publish:
			for _, message := range messages {
				h.tell(message)
			}
		}
	}
}

func (h *hub) tell(message *websocket.PreparedMessage) {
	for c := range h.clients {
		select {
		case c.send <- message:
		default:
			h.remove(c)
		}
	}
}

func (h *hub) remove(c *client) {
	if _, here := h.clients[c]; here {
		delete(h.clients, c)
		close(c.send)
	}
}

func (c *client) read(h *hub) {
	defer func() {
		h.leave <- c
		c.conn.Close()
	}()
	c.conn.SetReadLimit(longest)
	c.conn.SetReadDeadline(time.Now().Add(pongWait))
	c.conn.SetPongHandler(func(string) error {
		return c.conn.SetReadDeadline(time.Now().Add(pongWait))
	})
	for {
		if _, _, err := c.conn.ReadMessage(); err != nil {
			return
		}
	}
}

func (c *client) write() {
	ticker := time.NewTicker(pingEvery)
	defer func() {
		ticker.Stop()
		c.conn.Close()
	}()
	for {
		select {
		case message, open := <-c.send:
			c.conn.SetWriteDeadline(time.Now().Add(patience))
			if !open {
				c.conn.WriteMessage(websocket.CloseMessage, nil)
				return
			}
			if c.conn.WritePreparedMessage(message) != nil {
				return
			}
		case <-ticker.C:
			c.conn.SetWriteDeadline(time.Now().Add(patience))
			if c.conn.WriteMessage(websocket.PingMessage, nil) != nil {
				return
			}
		}
	}
}

func number(r *http.Request, name string) int {
	value, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil || value < 1 {
		return 1
	}
	return value
}

func main() {
	h := &hub{
		clients: make(map[*client]struct{}),
		join:    make(chan *client),
		leave:   make(chan *client),
		publish: make(chan []*websocket.PreparedMessage),
	}
	go h.run()
	upgrader := websocket.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 1024}
	http.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		c := &client{conn: conn, send: make(chan *websocket.PreparedMessage, waiting)}
		h.join <- c
		go c.write()
		go c.read(h)
	})
	http.HandleFunc("/publish", func(w http.ResponseWriter, r *http.Request) {
		body := bytes.Repeat([]byte("x"), number(r, "size"))
		messages := make([]*websocket.PreparedMessage, number(r, "count"))
		for i := range messages {
			message, err := websocket.NewPreparedMessage(websocket.TextMessage, body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			messages[i] = message
		}
		h.publish <- messages
		w.WriteHeader(http.StatusOK)
	})
	http.HandleFunc("/health", func(w http.ResponseWriter, r *http.Request) {})
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}

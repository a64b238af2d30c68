// A reverse proxy with Go's httputil.ReverseProxy, its transport tuned: main LISTEN UPSTREAM...
//
// Director, not Rewrite, so that Go 1.19 (Debian 12) builds it. Standard library only.
package main

import (
	"crypto/rand"
	"encoding/hex"
	"log"
	"net/http"
	"net/http/httputil"
	"os"
	"sync"
	"sync/atomic"
)

const requestID = "X-Request-Id"

type pool struct{ sync.Pool }

func (p *pool) Get() []byte  { return p.Pool.Get().([]byte) }
func (p *pool) Put(b []byte) { p.Pool.Put(b) } //nolint:staticcheck // as in the documentation

func main() {
	upstreams := os.Args[2:]
	var turn atomic.Uint64
	proxy := &httputil.ReverseProxy{
		Director: func(out *http.Request) {
			var id [16]byte
			rand.Read(id[:])
			out.URL.Scheme = "http"
			out.URL.Host = upstreams[turn.Add(1)%uint64(len(upstreams))]
			out.Header.Set("X-Forwarded-Proto", "http")
			out.Header.Set("X-Forwarded-Host", out.Host)
			out.Header.Set(requestID, hex.EncodeToString(id[:]))
		},
		ModifyResponse: func(response *http.Response) error {
			response.Header.Set(requestID, response.Request.Header.Get(requestID))
			return nil
		},
		Transport: &http.Transport{
			MaxIdleConns:        2048,
			MaxIdleConnsPerHost: 1024,
			DisableCompression:  true,
		},
		BufferPool: &pool{sync.Pool{New: func() any { return make([]byte, 32*1024) }}},
	}
	log.Fatal(http.ListenAndServe(os.Args[1], proxy))
}

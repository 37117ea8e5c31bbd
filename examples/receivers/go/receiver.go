// A receiver of itsjustintv in Go, with nothing but the standard library.
//
//	TARGET_WEBHOOK_SECRET=... go run receiver.go
//
// listens on 127.0.0.1, port 8091 or PORT. Put a proxy with HTTPS in front.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	largest   = 4 << 20         // a payload with a picture in it
	tolerance = 5 * time.Minute // by which clocks may differ
	most      = 10000           // ids that are remembered
)

// News is what is used here of a payload.
type News struct {
	Event        string `json:"event"`
	ID           string `json:"id"`
	StreamerName string `json:"streamer_name"`
	URL          string `json:"url"`
}

// Seen knows the ids of the last deliveries; keep them in a database if a repetition after a restart matters.
type Seen struct {
	sync.Mutex
	known map[string]bool
	order []string
}

// Before tells whether this was here before: what was not answered in time is sent again, under the same id.
func (seen *Seen) Before(id string) bool {
	seen.Lock()
	defer seen.Unlock()
	if seen.known[id] {
		return true
	}
	seen.known[id] = true
	seen.order = append(seen.order, id)
	if len(seen.order) > most {
		delete(seen.known, seen.order[0])
		seen.order = seen.order[1:]
	}
	return false
}

// genuine tells whether a delivery is signed with our secret. Call it before you look at the body.
func genuine(secret string, header http.Header, body []byte) bool {
	if encoded, standard := strings.CutPrefix(secret, "whsec_"); standard { // target_webhook_signature "standard" or "both"
		sentAt, err := strconv.ParseInt(header.Get("Webhook-Timestamp"), 10, 64)
		if err != nil || time.Since(time.Unix(sentAt, 0)).Abs() > tolerance {
			return false
		}
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return false
		}
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.", header.Get("Webhook-Id"), header.Get("Webhook-Timestamp"))
		mac.Write(body)
		expected := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
		for _, given := range strings.Split(header.Get("Webhook-Signature"), " ") {
			if hmac.Equal([]byte(given), []byte(expected)) {
				return true
			}
		}
		return false
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	expected := "sha256=" + hex.EncodeToString(mac.Sum(nil))
	return hmac.Equal([]byte(header.Get("X-Hub-Signature-256")), []byte(expected))
}

func main() {
	secret := os.Getenv("TARGET_WEBHOOK_SECRET")
	if secret == "" {
		log.Fatal("TARGET_WEBHOOK_SECRET is not set")
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "8091"
	}
	seen := &Seen{known: map[string]bool{}}
	receive := func(answer http.ResponseWriter, request *http.Request) {
		if request.Method != http.MethodPost {
			answer.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(answer, request.Body, largest))
		if err != nil {
			answer.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		if !genuine(secret, request.Header, body) {
			answer.WriteHeader(http.StatusUnauthorized)
			return
		}
		var news News
		if json.Unmarshal(body, &news) != nil {
			answer.WriteHeader(http.StatusBadRequest)
			return
		}
		if news.Event == "stream.online" && !seen.Before(news.ID) {
			fmt.Printf("%s is live: %s\n", news.StreamerName, news.URL)
		}
		answer.WriteHeader(http.StatusNoContent)
	}
	server := &http.Server{Addr: "127.0.0.1:" + port, Handler: http.HandlerFunc(receive), ReadTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

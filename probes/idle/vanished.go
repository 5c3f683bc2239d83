package idle

import (
	"context"
	"time"

	"github.com/connpolicy/connpolicy/probes/exchange"
)

// VanishedWithin is how long Vanished may take.
const VanishedWithin = answerWithin + askedAgain

// Vanished asks the nearest TCP hop for a sign of life, without sending a byte, and says whether none came: the path has
// forgotten the connection. It is for connections that nobody reads from meanwhile.
func Vanished(ctx context.Context, connection *exchange.Connection) bool {
	s := &silent{Connection: connection, asked: time.Now()}
	s.deadline = s.asked.Add(VanishedWithin)
	if connection.TCP().Keepalive(1) != nil {
		return false
	}
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case now := <-ticker.C:
			if what, known := s.signOfLife(now); known {
				return what == blackHole
			}
		}
	}
}

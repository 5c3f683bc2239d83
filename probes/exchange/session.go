package exchange

import (
	"crypto/tls"
	"sync"
)

// session keeps the newest TLS session that the target gave a ticket for. It is a tls.ClientSessionCache for one server.
type session struct {
	lock   sync.Mutex
	state  *tls.ClientSessionState
	ticket bool
}

// Get returns the session, whatever the key.
func (s *session) Get(string) (*tls.ClientSessionState, bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.state, s.state != nil
}

// Put keeps a session, or forgets it if state is nil.
func (s *session) Put(_ string, state *tls.ClientSessionState) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.state = state
	s.ticket = s.ticket || state != nil
}

// offered says whether there ever was a ticket.
func (s *session) offered() bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.ticket
}

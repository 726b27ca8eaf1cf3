package gateway

import "testing"

// FuzzSettings reads the settings that are lists and subjects: what is accepted can be
// used.
func FuzzSettings(f *testing.F) {
	f.Add("127.0.0.0/8,::1/128", "https://example.org", "odds.api")
	f.Add("10.0.0.0/33 , ", "*", "a..b")
	f.Add("::ffff:10.0.0.0/104", "https://*.example", "*")
	f.Add("fe80::%eth0/10", "null, http://[::1]:80", "\x00")
	f.Fuzz(func(t *testing.T, proxies, origins, subject string) {
		cfg := DefaultConfig()
		cfg.TrustedProxies, cfg.CORSOrigins, cfg.NATSAPIPrefix = proxies, origins, subject
		cfg.NATSURL = "nats://127.0.0.1:4222"
		if cfg.Validate() != nil {
			return
		}
		networks, err := cfg.proxies()
		if err != nil {
			t.Errorf("%q is accepted: %v", proxies, err)
		}
		for _, network := range networks {
			if !network.IsValid() {
				t.Errorf("%q has the network %v", proxies, network)
			}
		}
		if _, err := cfg.origins(); err != nil {
			t.Errorf("%q is accepted: %v", origins, err)
		}
	})
}

package provider

// A PortRange is a range of ports and its protocol. ICMP has ports -1.
type PortRange struct {
	Protocol string `json:"protocol"` // tcp, udp or icmp
	From     int    `json:"from"`
	To       int    `json:"to"`
}

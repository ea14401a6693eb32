package machine

import "testing"

func TestGateway(t *testing.T) {
	const routes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"eth1\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"eth0\t00000000\t0100D50A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"eth0\t0000D50A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
	for name, want := range map[string]string{"eth0": "10.213.0.1", "eth1": "", "lo": ""} {
		if got := gateway(routes, name); got != want {
			t.Errorf("the gateway of %s is %q, want %q", name, got, want)
		}
	}
}

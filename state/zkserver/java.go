package zkserver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	debianJars  = "/usr/share/java"
	debianJava  = "/usr/lib/jvm/default-java/bin/java"
	mainClass   = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
	installHint = "install it with: apt-get install default-jre-headless libzookeeper-java"
)

// jars are those that Debian's ZooKeeper needs to serve clients through Netty. netty-all is an empty shell there.
func jars() []string {
	return []string{
		"zookeeper", "zookeeper-jute", "metrics-core", "snappy-java", "slf4j-api", "slf4j-simple",
		"netty-buffer", "netty-codec", "netty-common", "netty-handler", "netty-resolver", "netty-transport",
		"netty-transport-native-epoll", "netty-transport-native-unix-common",
	}
}

// java is the program that runs ZooKeeper.
func (c Config) java() (string, error) {
	if c.Java != "" {
		p, err := exec.LookPath(c.Java)
		if err != nil {
			return "", fmt.Errorf("find Java for ZooKeeper: the setting says %s: %w", c.Java, err)
		}
		return p, nil
	}
	for _, name := range []string{"java", debianJava} {
		if p, err := exec.LookPath(name); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("find Java for ZooKeeper: neither in PATH nor at %s: %s, or name the program in the setting", debianJava, installHint)
}

// classPath is where Java finds ZooKeeper: an unpacked release of Apache's has all it needs in lib, and nothing else;
// Debian has the jars of all packages in one directory.
func (c Config) classPath() (string, error) {
	if c.Installation != "" {
		dir, err := filepath.Abs(c.Installation)
		if err != nil {
			return "", err
		}
		for _, d := range []string{filepath.Join(dir, "lib"), dir} {
			if found, _ := filepath.Glob(filepath.Join(d, "zookeeper-[0-9]*.jar")); len(found) > 0 && !isFile(filepath.Join(d, "zookeeper.jar")) {
				return filepath.Join(d, "*"), nil
			}
		}
		return classPathIn(dir, "the setting names a directory without it: want an unpacked release of Apache ZooKeeper 3.8 or later, or a directory like Debian's "+debianJars)
	}
	return classPathIn(debianJars, installHint+", or name a directory with another installation in the setting")
}

func classPathIn(dir, hint string) (string, error) {
	var paths []string
	for _, j := range jars() {
		p := filepath.Join(dir, j+".jar")
		if !isFile(p) {
			return "", fmt.Errorf("find ZooKeeper: %s is missing: %s", p, hint)
		}
		paths = append(paths, p)
	}
	return strings.Join(paths, ":"), nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// handshakes is how many clients are met at a time. After a restart all come at once: those beyond these are turned away at once and come
// again soon, instead of all being served so slowly that none waits for the end.
const handshakes = 50

// arguments are those of java. The server starts fast and stays small: it lives beside the controller.
func (c Config) arguments(classPath string) []string {
	return []string{
		fmt.Sprintf("-Xmx%dm", c.HeapMiB),
		"-Xms16m",
		"-Xss512k",
		fmt.Sprintf("-XX:MaxDirectMemorySize=%dm", max(c.HeapMiB/4, 32)),
		"-XX:+UseSerialGC",
		"-XX:TieredStopAtLevel=1",
		"-XX:ReservedCodeCacheSize=32m",
		"-XX:-UsePerfData",
		fmt.Sprintf("-Dzookeeper.netty.server.outstandingHandshake.limit=%d", handshakes),
		"-XX:+ExitOnOutOfMemoryError",
		"-XX:ErrorFile=" + c.path("java-crash.log"),
		"-Xshare:auto",
		"-Djava.awt.headless=true",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-Dorg.slf4j.simpleLogger.showDateTime=true",
		"-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss",
		"-Dlogback.configurationFile=" + c.path(loggingFile),
		"-cp", classPath,
		mainClass, c.path(configFile),
	}
}

// environment keeps what the user's environment would do to Java out of it.
func environment() []string {
	return []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "MALLOC_ARENA_MAX=2"}
}

// One node of OpenSearch within this process, with HTTP. Its own start wants its distribution's folders and nobody's root; a script,
// because a Java that only runs programs can compile none.
import org.opensearch.common.settings.Settings
import org.opensearch.env.Environment
import org.opensearch.node.Node
import org.opensearch.transport.Netty4Plugin

class SingleNode extends Node {
    SingleNode(Settings settings) {
        super(new Environment(settings, null), [Netty4Plugin], false)
    }
}

def (folder, port) = args
def settings = Settings.builder()
    .put('path.home', folder)
    .put('cluster.name', 'foldlog-tests')
    .put('node.name', 'one')
    .put('discovery.type', 'single-node')
    .put('network.host', '127.0.0.1')
    .put('http.type', 'netty4')
    .put('http.port', port)
    .put('transport.type', 'netty4')
    .put('transport.port', '0')
    // A machine whose disk is nearly full is no reason to refuse the few kilobytes of a test.
    .put('cluster.routing.allocation.disk.threshold_enabled', false)
    .put('node.processors', 1)
    .build()
new SingleNode(settings).start()
while (System.in.read() >= 0) {}
Runtime.runtime.halt(0)

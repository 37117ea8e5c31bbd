// twurple's EventSubHttpListener with one handler that does nothing. Unmanaged, as there is no Twitch here to subscribe
// with; it finds the handler by the path, /event/stream.online.<user id>.
//
//     node twurple.mjs --modules DIR --port PORT --secret SECRET --streamer ID

import http from 'node:http';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const string = { type: 'string' };
const { values } = parseArgs({ options: { modules: string, port: string, secret: string, streamer: string } });

const library = path.resolve(values.modules, '@twurple/eventsub-http/lib/index.js');
const { EventSubHttpListener, ReverseProxyAdapter } = await import(pathToFileURL(library));

class LoopbackAdapter extends ReverseProxyAdapter {
	createHttpServer() {
		const server = http.createServer();
		const listen = server.listen.bind(server);
		server.listen = (port, listening) => listen(port, '127.0.0.1', listening);
		return server;
	}
}

const listener = new EventSubHttpListener({
	adapter: new LoopbackAdapter({ hostName: 'bench.example', port: Number(values.port) }),
	managed: false,
	secret: values.secret,
});
listener.onStreamOnline(values.streamer, () => {});
listener.start();

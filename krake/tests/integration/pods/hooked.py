"""An application that knows the hooks: a script in a container, with what Krake has put there and nothing else."""

from typing import Any

from integration.kubernetes.world import service

PORT = 10000

_SCRIPT = '''
import hashlib, hmac, http.server, json, os, ssl, sys, threading, urllib.request

def call(hook):
    """Tell Krake, with the certificate if there is one."""
    url, token, context = os.environ[f"KRAKE_{hook}_URL"], os.environ[f"KRAKE_{hook}_TOKEN"], None
    if url.startswith("https:"):
        folder = f"/etc/krake_{hook.lower()}_certs"
        context = ssl.create_default_context(cafile=f"{folder}/ca-bundle.pem")
        context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
    body, headers = json.dumps({"token": token}).encode(), {"Content-Type": "application/json"}
    request = urllib.request.Request(url, body, headers, method="PUT")
    with urllib.request.urlopen(request, context=context, timeout=20) as response:
        print(hook, response.status, flush=True)

class Application(http.server.BaseHTTPRequestHandler):
    def do_PUT(self):
        told = {name: self.headers.get(f"Krake-{name}", "") for name in ("Timestamp", "Deadline", "Signature")}
        text = f"PUT {self.path}\\n{told['Timestamp']}\\n{told['Deadline']}".encode()
        digest = hmac.new(os.environ["KRAKE_SHUTDOWN_TOKEN"].encode(), text, hashlib.sha256).hexdigest()
        genuine = hmac.compare_digest("sha256=" + digest, told["Signature"])
        self.send_response(200 if genuine else 403)
        self.end_headers()
        if genuine:
            threading.Thread(target=call, args=["SHUTDOWN"]).start()

if sys.argv[1] == "complete":
    call("COMPLETE")
http.server.ThreadingHTTPServer(("", int(sys.argv[2])), Application).serve_forever()
'''


def hooked(purpose: str) -> list[dict[str, Any]]:
    """The objects of an application that is complete at once (``complete``), or waits to be asked to shut down (``wait``)."""
    container = {
        "name": "hooked",
        "image": "python",
        "command": ["python3", "-c", _SCRIPT, purpose, str(PORT)],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    }
    labels = {"app": "hooked"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 1}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "hooked"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    return [deployment, service("shutdown", selector=labels, ports=[{"port": PORT}])]

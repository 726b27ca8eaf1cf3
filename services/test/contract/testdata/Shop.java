// Calls the controllers of examples/spring as Spring does, without its routing. Prints what
// it saw, as JSON.

import com.example.shop.EntryController;
import com.example.shop.OddsController;
import com.example.shop.Rafflecast;
import io.grpc.ManagedChannel;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.springframework.http.ResponseEntity;
import org.springframework.web.servlet.mvc.method.annotation.StreamingResponseBody;

public final class Shop {
  /** Takes what is sent to a browser, which leaves after the first event. */
  private static final class Browser extends ByteArrayOutputStream {
    @Override
    public void flush() throws IOException {
      if (toString(StandardCharsets.UTF_8).contains("\n\n")) {
        throw new IOException("the browser has left");
      }
    }
  }

  public static void main(String[] args) throws Exception {
    Rafflecast beans = new Rafflecast();
    ManagedChannel channel = beans.participation(args[0]);
    EntryController entries = new EntryController(beans.entries(channel));
    ResponseEntity<Map<String, Object>> first = entries.enter(1, "spring");
    ResponseEntity<Map<String, Object>> second = entries.enter(1, "spring");
    OddsController odds = new OddsController(beans.oddsStream(URI.create(args[1])));
    ResponseEntity<StreamingResponseBody> stream = odds.watch(1, null);
    Browser browser = new Browser();
    try {
      stream.getBody().writeTo(browser);
      throw new IllegalStateException("the stream ended");
    } catch (IOException left) {
      // as it should
    }
    ResponseEntity<StreamingResponseBody> unknown = odds.watch(999, null);
    System.out.printf(
        "{\"first\":%d,\"memberEntries\":%s,\"second\":%d,\"reason\":\"%s\",\"stream\":%d,\"type\":\"%s\",\"event\":%b,\"unknown\":%d}%n",
        first.getStatusCodeValue(), first.getBody().get("memberEntries"), second.getStatusCodeValue(), second.getBody().get("reason"),
        stream.getStatusCodeValue(), stream.getHeaders().getFirst("Content-Type"),
        browser.toString(StandardCharsets.UTF_8).contains("event: raffle-winning-probability\ndata: {\"id\":1,"), unknown.getStatusCodeValue());
    channel.shutdownNow();
    System.exit(0); // the HTTP client's threads live on
  }

  private Shop() {}
}

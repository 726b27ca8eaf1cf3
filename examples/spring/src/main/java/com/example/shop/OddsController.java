package com.example.shop;

import java.io.IOException;
import java.io.InputStream;
import java.net.http.HttpResponse;
import org.springframework.http.HttpHeaders;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.RequestHeader;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.servlet.mvc.method.annotation.StreamingResponseBody;

/**
 * Passes a gateway's events through to a browser, byte by byte: GET /raffles/1/odds. Status,
 * Last-Event-ID and heartbeats pass, too, so that the browser's EventSource works as it does
 * at the gateway. There is nothing to remember here: no emitter, no list of viewers.
 */
@RestController
public class OddsController {
  private final OddsStream odds;

  public OddsController(OddsStream odds) {
    this.odds = odds;
  }

  @GetMapping("/raffles/{id}/odds")
  public ResponseEntity<StreamingResponseBody> watch(
      @PathVariable("id") long id, @RequestHeader(value = "Last-Event-ID", required = false) String lastEventId)
      throws IOException, InterruptedException {
    HttpResponse<InputStream> answer = odds.open(id, lastEventId);
    ResponseEntity.BodyBuilder response = ResponseEntity.status(answer.statusCode());
    for (String name : new String[] {HttpHeaders.CONTENT_TYPE, HttpHeaders.CACHE_CONTROL, HttpHeaders.RETRY_AFTER, "X-Accel-Buffering"}) {
      answer.headers().firstValue(name).ifPresent(value -> response.header(name, value));
    }
    return response.body(out -> {
      try (InputStream events = answer.body()) {
        byte[] some = new byte[4096];
        for (int n = events.read(some); n >= 0; n = events.read(some)) {
          out.write(some, 0, n);
          out.flush(); // each event goes out at once; this fails when the browser has left
        }
      }
    });
  }
}

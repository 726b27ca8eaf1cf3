package com.example.shop;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;

/** Opens streams of odds at a gateway. Safe for concurrent use. */
public class OddsStream {
  private final HttpClient http = HttpClient.newBuilder()
      .version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(5)).build();
  private final URI gateway;

  public OddsStream(URI gateway) {
    this.gateway = gateway;
  }

  /** Returns the gateway's answer, whose body is the stream. Close the body. */
  public HttpResponse<InputStream> open(long raffleId, String lastEventId) throws IOException, InterruptedException {
    HttpRequest.Builder request = HttpRequest.newBuilder(gateway.resolve("/api/v1/raffles/" + raffleId + "/subscribe"))
        .header("Accept", "text/event-stream");
    if (lastEventId != null) {
      request.header("Last-Event-ID", lastEventId);
    }
    return http.send(request.build(), HttpResponse.BodyHandlers.ofInputStream());
  }
}

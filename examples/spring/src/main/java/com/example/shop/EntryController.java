package com.example.shop;

import com.rafflecast.raffle.v1.EnterResponse;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.util.Map;
import org.springframework.http.HttpStatus;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/** Enters the shop's members: POST /raffles/1/entries?member=alice. */
@RestController
public class EntryController {
  private final Entries entries;

  public EntryController(Entries entries) {
    this.entries = entries;
  }

  // In a shop the member is the one who is logged in, and no parameter.
  @PostMapping("/raffles/{id}/entries")
  public ResponseEntity<Map<String, Object>> enter(@PathVariable("id") long id, @RequestParam("member") String member)
      throws InterruptedException {
    try {
      EnterResponse entered = entries.enter(id, member);
      return ResponseEntity.ok(Map.of(
          "memberEntries", entered.getMemberEntries(), "entries", entered.getOdds().getEntries()));
    } catch (StatusRuntimeException e) {
      return ResponseEntity.status(statusOf(e.getStatus().getCode())).body(Map.of("reason", Entries.reason(e)));
    }
  }

  private static HttpStatus statusOf(Status.Code code) {
    switch (code) {
      case INVALID_ARGUMENT: return HttpStatus.BAD_REQUEST;
      case NOT_FOUND: return HttpStatus.NOT_FOUND;
      case FAILED_PRECONDITION: return HttpStatus.CONFLICT; // not open, or all entries are used
      case RESOURCE_EXHAUSTED: return HttpStatus.TOO_MANY_REQUESTS;
      default: return HttpStatus.SERVICE_UNAVAILABLE;
    }
  }
}
